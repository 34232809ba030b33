import { nextBatchOf } from '../support/batches';
import { type Api, type Reply } from '../support/api';
import {
  aProduct,
  aReservation,
  aWarehouse,
  dataOf,
  expectReconciled,
  letTimePass,
  stockOf,
  stockUp,
} from '../support/factories';
import {
  type Attempt,
  inLine,
  inLineAt,
  PLACES,
  untilQueued,
  startInLine,
  storm,
  tally,
  whileLocked,
} from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';
const LOCK_LEVELS = 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE';
const LOCK_IN_MAIN = `SELECT FROM stock_levels WHERE product_id = $1 AND warehouse_id = '${MAIN}' FOR UPDATE`;

const reserve = (buyer: Api, productId: string, quantity = 1): Promise<Reply> =>
  buyer.post('/api/reservations', { product_id: productId, quantity });
const order = (buyer: Api, productId: string, quantity = 1): Promise<Reply> =>
  buyer.post('/api/orders', { items: [{ product_id: productId, quantity }] });

function refused(replies: readonly Reply[]): Reply[] {
  return replies.filter(({ status }) => status === 409);
}

describe.each([4, 20])('Many buyers at once, on a pool of %i connections', (poolSize) => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ DATABASE_POOL_SIZE: String(poolSize) });
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  it.each<[string, (buyer: Api, productId: string, index: number) => Promise<Reply>]>([
    ['reservations', (buyer, productId) => reserve(buyer, productId)],
    ['orders with items', (buyer, productId) => order(buyer, productId)],
    ['reservations and orders', (buyer, productId, index) => (index % 2 ? reserve : order)(buyer, productId)],
  ])('gives 5 pieces to exactly 5 of 50 buyers through %s', async (_, buy) => {
    const product = await aProduct(test, { initial_stock: 5 });
    const replies = await storm(50, (index) => buy(test.aUser(), product.id, index));
    expect(tally(replies)).toEqual({ '201': 5, '409 insufficient_stock': 45 });
    for (const { body } of refused(replies)) {
      expect(body.shortages).toEqual([{ product_id: product.id, requested: 1, available: 0 }]);
    }
    expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 5, total: 5 });
  });

  it('gives away all of 7 pieces, and no more, when 200 buyers want 1 to 3 each', async () => {
    const product = await aProduct(test, { initial_stock: 7 });
    const replies = await storm(200, (index) => reserve(test.aUser(), product.id, 1 + (index % 3)));
    const granted = replies.filter(({ status }) => status === 201).map((reply) => dataOf(reply).items[0].quantity);
    expect(granted.reduce((sum, quantity) => sum + quantity, 0)).toBe(7);
    expect(Object.keys(tally(replies)).sort()).toEqual(['201', '409 insufficient_stock']);
    const movements = dataOf(await test.admin.get(`/api/products/${product.id}/stock-movements`));
    const everAvailable = movements.map((movement: { available_after: number }) => movement.available_after);
    replies.forEach(({ status, body }, index) => {
      if (status === 409) {
        const [{ requested, available }] = body.shortages;
        expect(requested).toBe(1 + (index % 3));
        expect(available).toBeLessThan(requested);
        expect(everAvailable).toContain(available);
      }
    });
  });

  it('gives away what is spread over three warehouses once, split where no single one can serve', async () => {
    const product = await aProduct(test, { initial_stock: 4 });
    for (const pieces of [3, 4]) {
      await stockUp(test, product.id, pieces, (await aWarehouse(test)).id);
    }
    const replies = await storm(40, () => reserve(test.aUser(), product.id, 5));
    expect(tally(replies)).toEqual({ '201': 2, '409 insufficient_stock': 38 });
    expect(refused(replies).map(({ body }) => body.shortages)).toEqual(
      Array.from({ length: 38 }, () => [{ product_id: product.id, requested: 5, available: 1 }]),
    );
    expect(await stockOf(test, product.id)).toEqual({ available: 1, reserved: 10, total: 11 });
    expect(tally(await storm(10, () => reserve(test.aUser(), product.id)))).toEqual({
      '201': 1,
      '409 insufficient_stock': 9,
    });
  });

  it('gives a basket whole or not at all, and names only the line that is short', async () => {
    const [plenty, scarce] = [await aProduct(test, { initial_stock: 30 }), await aProduct(test, { initial_stock: 9 })];
    const items = [
      { product_id: plenty.id, quantity: 1 },
      { product_id: scarce.id, quantity: 2 },
    ];
    const replies = await storm(25, () => test.aUser().post('/api/reservations', { items }));
    expect(tally(replies)).toEqual({ '201': 4, '409 insufficient_stock': 21 });
    for (const { body } of refused(replies)) {
      expect(body.shortages).toEqual([{ product_id: scarce.id, requested: 2, available: 1 }]);
    }
    expect(await stockOf(test, plenty.id)).toEqual({ available: 26, reserved: 4, total: 30 });
    expect(await stockOf(test, scarce.id)).toEqual({ available: 1, reserved: 8, total: 9 });
  });

  it('shares 10 pieces between buyers and an administrator who takes pieces away', async () => {
    const product = await aProduct(test, { initial_stock: 10 });
    const takeAway = (): Promise<Reply> =>
      test.admin.post(`/api/products/${product.id}/stock-adjustments`, { delta: -1, reason: 'broken' });
    const replies = await storm(40, (index) => (index % 2 ? reserve(test.aUser(), product.id) : takeAway()));
    expect(tally(replies)).toEqual({ '201': 10, '409 insufficient_stock': 30 });
    const { available, reserved, total } = await stockOf(test, product.id);
    expect({ available, isAllHeld: reserved === total }).toEqual({ available: 0, isAllHeld: true });
  });

  it('gives the pieces of overdue holds, which nobody swept, to as many buyers as there are pieces', async () => {
    const product = await aProduct(test, { initial_stock: 6 });
    for (const { id } of await storm(6, () => aReservation(test.aUser(), product.id))) {
      await letTimePass(test, id);
    }
    const replies = await storm(6, () => reserve(test.aUser(), product.id));
    expect(tally(replies)).toEqual({ '201': 6 });
    expect(tally(await storm(10, () => reserve(test.aUser(), product.id)))).toEqual({ '409 insufficient_stock': 10 });
  });
});

describe('Two who want the same piece, in a known order', () => {
  let test: TestApp;
  let twin: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
    twin = await startTestApp({}, test.database);
  });
  afterEach(() => expectReconciled(test));
  afterAll(async () => {
    await twin.close();
    await test.close();
  });

  const takeAway = (id: string, warehouse_id?: string): Promise<Reply> =>
    test.admin.post(`/api/products/${id}/stock-adjustments`, { delta: -1, reason: 'broken', warehouse_id });

  describe.each(Object.entries(PLACES))('%s', (_, place) => {
    it.each([
      ['reservation', reserve, reserve],
      ['order', order, order],
      ['reservation, then an order', reserve, order],
    ] as const)(
      'give the last piece to the first %s in line and tell the second that none is left',
      async (_, first, second) => {
        const pieces = place.ahead + 1;
        const product = await aProduct(test, { initial_stock: pieces });
        const replies = await inLineAt(place, [test, twin], product.id, [
          (process) => first(process.aUser(), product.id),
          (process) => second(process.aUser(), product.id),
        ]);
        expect(replies.map(({ status }) => status)).toEqual([201, 409]);
        expect(replies[1]!.body.shortages).toEqual([{ product_id: product.id, requested: 1, available: 0 }]);
        expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: pieces, total: pieces });
      },
    );
  });

  it('are decided one by one in one batch: who wants too much leaves the rest to who comes after them', async () => {
    const place = PLACES['in one batch'];
    const product = await aProduct(test, { initial_stock: place.ahead + 3 });
    const attempts = [2, 2, 1].map((pieces) => (process: TestApp) => reserve(process.aUser(), product.id, pieces));
    const replies = await inLineAt(place, [test, twin], product.id, attempts);
    expect(replies.map(({ status }) => status)).toEqual([201, 409, 201]);
    expect(replies[1]!.body.shortages).toEqual([{ product_id: product.id, requested: 2, available: 1 }]);
  });

  const queued = (productId: string, attempts: Attempt<Reply>[]): Promise<Reply[]> =>
    inLine(test.database, { sql: LOCK_LEVELS, values: [productId] }, attempts);

  it('gives the piece of a cancelled reservation to the buyer who stood in line behind the cancellation', async () => {
    const [product, owner] = [await aProduct(test, { initial_stock: 1 }), test.aUser()];
    const held = await aReservation(owner, product.id);
    // A buyer of what is not there need not stand in line. So there is a piece elsewhere, until both wait for the first.
    const elsewhere = await aWarehouse(test);
    await stockUp(test, product.id, 1, elsewhere.id);
    const waiters = [
      (): Promise<Reply> => owner.post(`/api/reservations/${held.id}/cancel`),
      (): Promise<Reply> => reserve(test.aUser(), product.id),
    ];
    const replies = await whileLocked(
      test.database,
      { sql: LOCK_IN_MAIN, values: [product.id], waiters, meanwhile: () => takeAway(product.id, elsewhere.id) },
      () => startInLine(test.database, waiters),
    );
    expect(replies.map(({ status }) => status)).toEqual([200, 201]);
    expect(dataOf(replies[1]!).items).toMatchObject([{ warehouse_id: MAIN, quantity: 1 }]);
    expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 1, total: 1 });
  });

  it('refuses to take away the piece that a buyer earlier in line got, and the other way round', async () => {
    const [first, second] = [await aProduct(test, { initial_stock: 1 }), await aProduct(test, { initial_stock: 1 })];
    const bought = await queued(first.id, [() => reserve(test.aUser(), first.id), () => takeAway(first.id)]);
    expect(bought.map(({ status }) => status)).toEqual([201, 409]);
    const taken = await queued(second.id, [() => takeAway(second.id), () => reserve(test.aUser(), second.id)]);
    expect(taken.map(({ status }) => status)).toEqual([201, 409]);
    expect(await stockOf(test, first.id)).toEqual({ available: 0, reserved: 1, total: 1 });
    expect(await stockOf(test, second.id)).toEqual({ available: 0, reserved: 0, total: 0 });
  });

  it('serves a buyer from where a transfer, earlier in line, takes the piece, though the product had never been there', async () => {
    const [product, elsewhere] = [await aProduct(test, { initial_stock: 1 }), await aWarehouse(test)];
    const transfer = { product_id: product.id, from_warehouse_id: MAIN, to_warehouse_id: elsewhere.id, quantity: 1 };
    const replies = await queued(product.id, [
      () => test.admin.post('/api/stock-transfers', transfer),
      () => reserve(test.aUser(), product.id),
    ]);
    expect(replies.map(({ status }) => status)).toEqual([201, 201]);
    expect(dataOf(replies[1]!).items).toMatchObject([{ warehouse_id: elsewhere.id, quantity: 1 }]);
  });

  it.each(['one process', 'two processes'])(
    'serves a buyer whose overdue holds another buyer of %s has just expired',
    async (place) => {
      const product = await aProduct(test, { initial_stock: 2 });
      for (const { id } of await storm(2, () => aReservation(test.aUser(), product.id))) {
        await letTimePass(test, id);
      }
      // In two processes both find the product short before either gets to expire a hold: the holds are locked.
      const held = 'SELECT reservation_id FROM reservation_items WHERE product_id = $1';
      const isOne = place === 'one process';
      const begun = await nextBatchOf(isOne ? [test] : [test, twin]);
      const meanwhile = (): Promise<void> => begun().then(() => untilQueued(test, isOne ? 1 : 0));
      const sql = `SELECT FROM reservations WHERE id IN (${held}) FOR UPDATE`;
      const buyAt = (process: TestApp): Promise<Reply> => reserve(process.aUser(), product.id);
      // In one process the second comes when the batch of the first is under way.
      const second = (): Promise<Reply> => (isOne ? begun().then(() => buyAt(test)) : buyAt(twin));
      const replies = await whileLocked(test.database, { sql, values: [product.id], waiters: 0, meanwhile }, () =>
        Promise.all([buyAt(test), second()]),
      );
      expect(tally(replies)).toEqual({ '201': 2 });
    },
  );
});
