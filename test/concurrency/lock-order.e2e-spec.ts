import { type Api, type Reply } from '../support/api';
import { createDatabase, type TestDatabase } from '../support/database';
import {
  anOrder,
  aProduct,
  aReservation,
  aWarehouse,
  bring,
  dataOf,
  expectReconciled,
  letTimePass,
  type Order,
  type Product,
  type Reservation,
  stockUp,
} from '../support/factories';
import { deadlocksIn, inTurns, storm, tally, until, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';

interface Level {
  product: Product;
  warehouseId: string;
}

/** Two levels in the order of the locks: ids grow. */
async function twoLevels(test: TestApp, pieces = 1000): Promise<[Level, Level]> {
  const first = await aProduct(test, { initial_stock: pieces });
  const second = await aProduct(test, { initial_stock: pieces });
  return [
    { product: first, warehouseId: MAIN },
    { product: second, warehouseId: MAIN },
  ];
}

const basket = (...levels: Level[]): object => ({
  items: levels.map(({ product }) => ({ product_id: product.id, quantity: 1 })),
});

const reserveBasket = async (buyer: Api, ...levels: Level[]): Promise<Reservation> =>
  dataOf(await buyer.post('/api/reservations', basket(...levels)));
const orderBasket = async (buyer: Api, ...levels: Level[]): Promise<Order> =>
  dataOf(await buyer.post('/api/orders', basket(...levels)));

const transfer = ({ admin }: TestApp, product: Product, from: string, to: string): Promise<Reply> =>
  admin.post('/api/stock-transfers', {
    product_id: product.id,
    from_warehouse_id: from,
    to_warehouse_id: to,
    quantity: 1,
  });

/** Baskets of one process never meet in the database: of those that cross, each comes to a process of its own. */
describe('Baskets that cross each other', () => {
  let database: TestDatabase;
  let test: TestApp;
  let twin: TestApp;
  let products: [Level, Level];
  beforeAll(async () => {
    database = await createDatabase();
  });
  beforeEach(async () => {
    test = await startTestApp({ DATABASE_POOL_SIZE: '20' }, database);
    twin = await startTestApp({}, database);
    products = await twoLevels(test);
  });
  afterEach(async () => {
    await expectReconciled(test);
    await Promise.all([test.close(), twin.close()]);
    expect(await deadlocksIn(database)).toBe(0);
  });
  afterAll(() => database.drop());

  it('are all served when 100 name the products in one order and 100 in the other', async () => {
    const [one, other] = products;
    const replies = await storm(20, (index) => {
      const [buyer, items] = index % 2 ? [test.aUser(), basket(one, other)] : [twin.aUser(), basket(other, one)];
      return inTurns(10, () => buyer.post('/api/reservations', items));
    });
    expect(tally(replies.flat())).toEqual({ '201': 200 });
  });

  it('are all served next to commits, cancellations, restocking, adjustments and the sweep', async () => {
    const [one, other] = products;
    const user = test.aUser();
    const there = user.at(twin.url);
    const prepared = await storm(15, async (index) => {
      const [left, right] = index % 2 ? [one, other] : [other, one];
      const made = await Promise.all([0, 1, 2].map(() => reserveBasket(user, left, right)));
      const ordered = await Promise.all([0, 1, 2].map(() => orderBasket(user, left, right)));
      await bring(test, ordered[1]!.id, 'confirmed');
      await letTimePass(test, made[2]!.id);
      await letTimePass(test, ordered[2]!.reservation_id);
      const [[committed, cancelled], [pending, confirmed]] = [made, ordered];
      return { committed: committed!.id, cancelled: cancelled!.id, pending: pending!.id, confirmed: confirmed!.id };
    });
    const sweeps: Promise<number>[] = [];
    const replies = await storm(15, async (index) => {
      const { committed, cancelled, pending, confirmed } = prepared[index]!;
      const [left, right] = index % 2 ? [one, other] : [other, one];
      sweeps.push(test.sweep());
      return Promise.all([
        user.post('/api/reservations', basket(left, right)),
        there.post('/api/orders', basket(right, left)),
        user.post(`/api/reservations/${committed}/commit`),
        user.post(`/api/reservations/${cancelled}/cancel`),
        user.patch(`/api/orders/${pending}/status`, { status: index % 2 ? 'confirmed' : 'cancelled' }),
        user.patch(`/api/orders/${confirmed}/status`, { status: 'cancelled' }),
        test.admin.post(`/api/products/${left.product.id}/stock-adjustments`, { delta: -1, reason: 'count' }),
      ]);
    });
    expect(tally(replies.flat())).toEqual({ '200': 45, '201': 60 });
    expect((await Promise.all(sweeps)).reduce((sum, expired) => sum + expired, 0)).toBe(30);
  });

  it('are all served while pieces go from one warehouse to the other and back', async () => {
    const [{ product }] = products;
    const there = await aWarehouse(test);
    dataOf(await transfer(test, product, MAIN, there.id));
    await stockUp(test, product.id, 500, there.id);
    const lines = [MAIN, there.id].map((warehouse_id) => ({ product_id: product.id, quantity: 1, warehouse_id }));
    const ways: (() => Promise<Reply>)[] = [
      () => transfer(test, product, MAIN, there.id),
      () => transfer(test, product, there.id, MAIN),
      () => test.aUser().post('/api/reservations', { items: lines }),
      () => twin.aUser().post('/api/reservations', { items: [...lines].reverse() }),
    ];
    const replies = await storm(16, (index) => inTurns(10, ways[index % 4]!));
    expect(tally(replies.flat())).toEqual({ '201': 160 });
  });

  it('are all served when the levels that transfers need do not exist yet', async () => {
    const [{ product }] = products;
    const [east, west] = [await aWarehouse(test), await aWarehouse(test)];
    const replies = await storm(40, (index) => {
      const [from, to] = index % 2 ? [east.id, west.id] : [west.id, east.id];
      return index < 20 ? transfer(test, product, from, to) : transfer(test, product, MAIN, to);
    });
    const { '201': served, '409 insufficient_stock': short = 0, ...others } = tally(replies);
    expect({ all: served! + short, others }).toEqual({ all: 40, others: {} });
    expect(served).toBeGreaterThanOrEqual(20);
  });

  it('are all served when buyers expire the overdue orders of both products at once', async () => {
    const [one, other] = await twoLevels(test, 10);
    const crossed = (index: number): [Level, Level] => (index % 2 ? [one, other] : [other, one]);
    const overdue = await storm(10, (index) => orderBasket(test.aUser(), ...crossed(index)));
    for (const { reservation_id: id } of overdue) {
      await letTimePass(test, id);
    }
    const replies = await storm(20, (index) =>
      (index % 2 ? test : twin).aUser().post('/api/orders', basket(...crossed(index))),
    );
    expect(tally(replies)).toEqual({ '201': 10, '409 insufficient_stock': 10 });
    for (const { id } of overdue) {
      expect(dataOf(await test.admin.get(`/api/orders/${id}`)).status).toBe('cancelled');
    }
  });
});

type Step = (test: TestApp, first: Level, second: Level) => Promise<() => Promise<unknown>>;

/** Each prepares what it needs, and gives what will want both levels. */
const STEPS: Record<string, Step> = {
  'a reservation': async (test, first, second) => () => reserveBasket(test.aUser(), second, first),
  'an order with items': async (test, first, second) => () => orderBasket(test.aUser(), second, first),
  'a commit': async (test, first, second) => {
    const user = test.aUser();
    const { id } = await reserveBasket(user, second, first);
    return async () => dataOf(await user.post(`/api/reservations/${id}/commit`));
  },
  'a cancellation': async (test, first, second) => {
    const user = test.aUser();
    const { id } = await reserveBasket(user, second, first);
    return async () => dataOf(await user.post(`/api/reservations/${id}/cancel`));
  },
  'a pending order that is cancelled': async (test, first, second) => {
    const { id } = await orderBasket(test.aUser(), second, first);
    return () => bring(test, id, 'cancelled');
  },
  'a confirmed order that is cancelled': async (test, first, second) => {
    const { id } = await orderBasket(test.aUser(), second, first);
    await bring(test, id, 'confirmed');
    return () => bring(test, id, 'cancelled');
  },
  'the sweep': async (test, first, second) => {
    const user = test.aUser();
    // In the order of their ids the holds meet the second product first.
    for (const { product } of [second, first]) {
      await letTimePass(test, (await aReservation(user, product.id)).id);
    }
    await letTimePass(test, (await anOrder(user, second.product.id)).reservation_id);
    return async () => expect(await test.sweep()).toBe(3);
  },
};

/** From here on a query that does not say its order meets the rows as they lie on disk. */
async function forbidIndexes({ query }: TestDatabase): Promise<void> {
  for (const scan of ['indexscan', 'indexonlyscan', 'bitmapscan']) {
    await query(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_${scan} = off', current_database()); END $$`);
  }
}

/** Puts one row of a table behind another on disk: it is written again until its new version lies there. */
function putBehind({ query }: TestDatabase, table: string, [first, second]: [string, string]): Promise<void> {
  return until(async () => {
    // Both are moved: the place that the first leaves is used again, by itself if nobody else needs one.
    for (const row of [second, first]) {
      await query(`UPDATE ${table} SET ${FREE_OF_EFFECT[table]} WHERE ${row}`);
    }
    const isBehind = `SELECT FROM ${table} WHERE ${first} AND ctid > (SELECT ctid FROM ${table} WHERE ${second})`;
    return (await query(isBehind)).length > 0;
  }, `the first of ${table} lies behind the second`);
}

const FREE_OF_EFFECT: Record<string, string> = {
  stock_levels: 'total = total',
  orders: 'version = version',
  reservations: 'status = status',
};

const keyOf = ({ product, warehouseId }: Level): string =>
  `product_id = '${product.id}' AND warehouse_id = '${warehouseId}'`;

describe('The order of locks', () => {
  let database: TestDatabase;
  let test: TestApp;
  beforeAll(async () => {
    database = await createDatabase();
    await forbidIndexes(database);
    test = await startTestApp({}, database);
  });
  afterEach(() => expectReconciled(test));
  afterAll(async () => {
    await test.close();
    await database.drop();
  });

  const expectFree = async (table: string, row: string): Promise<void> =>
    expect(await database.query(`SELECT 1 AS free FROM ${table} WHERE ${row} FOR UPDATE SKIP LOCKED`)).toHaveLength(1);

  /** Holds the first of two rows, and while the step waits for it looks whether the second is free. */
  async function expectSecondFree(step: () => Promise<unknown>, table: string, rows: [string, string]): Promise<void> {
    await putBehind(database, table, rows);
    const meanwhile = (): Promise<void> => expectFree(table, rows[1]);
    await whileLocked(database, { sql: `SELECT FROM ${table} WHERE ${rows[0]} FOR UPDATE`, meanwhile }, step);
  }

  it.each(Object.entries(STEPS))('lets %s wait for the first level without holding the second', async (_, prepare) => {
    const [first, second] = await twoLevels(test);
    await expectSecondFree(await prepare(test, first, second), 'stock_levels', [keyOf(first), keyOf(second)]);
  });

  it.each(['there', 'back'])(
    'lets a transfer %s wait for the first warehouse without holding the second',
    async (direction) => {
      const [{ product }] = await twoLevels(test);
      const { id: away } = await aWarehouse(test);
      dataOf(await transfer(test, product, MAIN, away));
      const [from, to] = direction === 'there' ? [MAIN, away] : [away, MAIN];
      const levels = [MAIN, away].map((warehouseId) => keyOf({ product, warehouseId })) as [string, string];
      await expectSecondFree(async () => dataOf(await transfer(test, product, from, to)), 'stock_levels', levels);
    },
  );

  it('lets a cancelled reservation wait for its order without holding the reservation', async () => {
    const [product, user] = [await aProduct(test), test.aUser()];
    const { id, reservation_id: held } = await anOrder(user, product.id);
    const meanwhile = (): Promise<void> => expectFree('reservations', `id = '${held}'`);
    const lock = { sql: 'SELECT FROM orders WHERE id = $1 FOR UPDATE', values: [id], meanwhile };
    dataOf(await whileLocked(database, lock, () => user.post(`/api/reservations/${held}/cancel`)));
  });
});
