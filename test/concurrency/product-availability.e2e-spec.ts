import type { Reply } from '../support/api';
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
  type Product,
  stockUp,
} from '../support/factories';
import { inTurns, storm, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';

interface Kept {
  is_active: boolean;
  stocked_levels: number;
  is_in_stock: boolean;
}

const keptOf = async ({ database }: TestApp, { id }: Product): Promise<Kept> =>
  (
    await database.query<Kept>(
      'SELECT is_active, stocked_levels, is_in_stock FROM product_availability WHERE product_id = $1',
      [id],
    )
  )[0]!;

/** A product of one piece in each of two warehouses. */
async function twoPieces(test: TestApp): Promise<{ product: Product; away: string }> {
  const [product, { id: away }] = [await aProduct(test, { initial_stock: 1 }), await aWarehouse(test)];
  await stockUp(test, product.id, 1, away);
  return { product, away };
}

describe('What is kept of the availability of products', () => {
  let test: TestApp;
  let twin: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ DATABASE_POOL_SIZE: '20' });
    twin = await startTestApp({}, test.database);
  });
  afterEach(() => expectReconciled(test));
  afterAll(async () => {
    await twin.close();
    await test.close();
  });

  const cancel = ({ id }: { id: string }, { admin } = test): Promise<Reply> =>
    admin.post(`/api/reservations/${id}/cancel`);

  it('counts the warehouses that have some', async () => {
    const { product, away } = await twoPieces(test);
    expect(await keptOf(test, product)).toEqual({ is_active: true, stocked_levels: 2, is_in_stock: true });
    const held = await aReservation(test.aUser(), product.id, { quantity: 2 });
    expect(await keptOf(test, product)).toMatchObject({ stocked_levels: 0, is_in_stock: false });
    dataOf(await cancel(held));
    const transfer = { product_id: product.id, from_warehouse_id: MAIN, to_warehouse_id: away, quantity: 1 };
    dataOf(await test.admin.post('/api/stock-transfers', transfer));
    dataOf(await test.admin.patch(`/api/products/${product.id}`, { is_active: false }));
    expect(await keptOf(test, product)).toEqual({ is_active: false, stocked_levels: 1, is_in_stock: true });
  });

  it('is not written while some are left', async () => {
    const product = await aProduct(test, { initial_stock: 3 });
    const version = async (): Promise<object[]> =>
      test.database.query('SELECT xmin, ctid FROM product_availability WHERE product_id = $1', [product.id]);
    const before = await version();
    const held = await aReservation(test.aUser(), product.id, { quantity: 2 });
    dataOf(await cancel(held));
    dataOf(await test.admin.patch(`/api/products/${product.id}`, { name: 'Green mug' }));
    expect(await version()).toEqual(before);
    await aReservation(test.aUser(), product.id, { quantity: 3 });
    expect(await version()).not.toEqual(before);
  });

  it('stays right when levels are made or deleted past the service, and goes with its product', async () => {
    const { product, away } = await twoPieces(test);
    const level = [product.id, away];
    await test.database.query('DELETE FROM stock_levels WHERE product_id = $1 AND warehouse_id = $2', level);
    expect(await keptOf(test, product)).toMatchObject({ stocked_levels: 1, is_in_stock: true });
    await test.database.query('INSERT INTO stock_levels VALUES ($1, $2, 1, 0, 1)', level);
    expect(await keptOf(test, product)).toMatchObject({ stocked_levels: 2, is_in_stock: true });
    const made = `INSERT INTO products (id, sku, name, price, currency) VALUES (gen_random_uuid(), 'gone', 'g', 1, 'EUR') RETURNING id`;
    const [gone] = await test.database.query<{ id: string }>(made);
    expect(await keptOf(test, gone as Product)).toEqual({ is_active: true, stocked_levels: 0, is_in_stock: false });
    await test.database.query('DELETE FROM products WHERE id = $1', [gone!.id]);
    expect(await keptOf(test, gone as Product)).toBeUndefined();
  });

  it('counts both when two levels of a product are refilled at once, and it is deactivated', async () => {
    const { product, away } = await twoPieces(test);
    const held: { id: string }[] = [];
    for (const warehouse_id of [MAIN, away]) {
      const items = [{ product_id: product.id, quantity: 1, warehouse_id }];
      held.push(dataOf(await test.aUser().post('/api/reservations', { items })));
    }
    const sql = 'SELECT FROM product_availability WHERE product_id = $1 FOR UPDATE';
    const all = (): Promise<Reply[]> =>
      Promise.all([
        ...held.map((one, index) => cancel(one, [test, twin][index])),
        twin.admin.patch(`/api/products/${product.id}`, { is_active: false }, { 'If-Match': '"1"' }),
      ]);
    (await whileLocked(test.database, { sql, values: [product.id], waiters: 3 }, all)).forEach(dataOf);
    expect(await keptOf(test, product)).toEqual({ is_active: false, stocked_levels: 2, is_in_stock: true });
  });

  it('is what the levels say after a storm of everything on two products in two warehouses', async () => {
    const [one, other] = [await twoPieces(test), await twoPieces(test)];
    // The same choices every time; what comes of them is not.
    let drawn = 1;
    const pick = <T>(from: readonly T[]): T => from[(drawn = (drawn * 75 + 74) % 65_537) % from.length]!;
    const items = (): object[] => [one, other].map(({ product }) => ({ product_id: product.id, quantity: 1 }));
    const user = test.aUser();
    const move = ({ product, away }: typeof one): Promise<unknown> => {
      const [from_warehouse_id, to_warehouse_id] = pick([
        [MAIN, away],
        [away, MAIN],
      ]);
      const body = { product_id: product.id, from_warehouse_id, to_warehouse_id, quantity: 1 };
      return twin.admin.post('/api/stock-transfers', body);
    };
    const hold = async (): Promise<void> => {
      const { status, body } = await user.at(pick([test, twin]).url).post('/api/reservations', {
        items: pick([items(), items().reverse(), items().slice(1)]),
      });
      if (status === 201) {
        const end = pick<() => Promise<unknown>>([() => cancel(body.data), () => letTimePass(test, body.data.id)]);
        await end();
        await pick([test, twin]).sweep();
      }
    };
    const orderAndCancel = async (): Promise<void> => {
      const { status, body } = await user.post('/api/orders', { items: items() });
      if (status === 201) {
        await bring(test, body.data.id, 'confirmed', 'cancelled').catch(() => undefined);
      }
    };
    const acts = [hold, hold, orderAndCancel, () => move(pick([one, other]))];
    await storm(12, () => inTurns<unknown>(12, () => pick(acts)()));
    await test.sweep();
    const kept = await Promise.all([one, other].map(({ product }) => keptOf(test, product)));
    expect(kept).toMatchObject([{ is_in_stock: true }, { is_in_stock: true }]);
  });
});

describe('The order in which products are counted', () => {
  let database: TestDatabase;
  let test: TestApp;
  beforeAll(async () => {
    database = await createDatabase();
    // Joins as with a large table: each level is looked up, in the order in which it is asked for.
    for (const way of ['seqscan', 'bitmapscan', 'hashjoin', 'mergejoin']) {
      await database.query(
        `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_${way} = off', current_database()); END $$`,
      );
    }
    test = await startTestApp({}, database);
  });
  afterAll(async () => {
    await test.close();
    await database.drop();
  });

  it('is that of the locks: the sweep waits for the first without holding the second', async () => {
    const [first, second] = [await aProduct(test, { initial_stock: 1 }), await aProduct(test, { initial_stock: 1 })];
    // In the order of their ids the holds meet the second product first.
    for (const { id } of [second, first]) {
      const { reservation_id: held } = await anOrder(test.aUser(), id);
      await letTimePass(test, held);
    }
    const free = 'SELECT FROM product_availability WHERE product_id = $1 FOR UPDATE SKIP LOCKED';
    const meanwhile = async (): Promise<void> => expect(await database.query(free, [second.id])).toHaveLength(1);
    const lock = { sql: 'SELECT FROM product_availability WHERE product_id = $1 FOR UPDATE', values: [first.id] };
    await whileLocked(database, { ...lock, meanwhile }, () => test.sweep());
    await expectReconciled(test);
  });
});
