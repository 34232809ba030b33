import type { Api, Reply } from '../support/api';
import { inOneBatch, LOCK_LEVELS } from '../support/batches';
import {
  anOrder,
  aProduct,
  aReservation,
  aWarehouse,
  dataOf,
  expectReconciled,
  letTimePass,
  stockUp,
} from '../support/factories';
import { whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

/** No sweep runs in these tests: what a reader is told is available must be what is allocated from, without it. */
describe('A reservation chooses its warehouses as if holds that are over had ended', () => {
  let test: TestApp;
  let warehouses: string[];
  beforeAll(async () => {
    test = await startTestApp();
    const made = [10, 20, 30].map((priority) => aWarehouse(test, { priority }));
    warehouses = (await Promise.all(made)).map(({ id }) => id);
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  /** A product with so many pieces in each of the warehouses, in the order in which they serve; none in MAIN. */
  async function stocked(...pieces: number[]): Promise<string> {
    const { id } = await aProduct(test, { initial_stock: 0 });
    for (const [index, quantity] of pieces.entries()) {
      await stockUp(test, id, quantity, warehouses[index]);
    }
    return id;
  }

  const reserve = (product_id: string, quantity: number, user: Api = test.aUser()): Promise<Reply> =>
    user.post('/api/reservations', { product_id, quantity });

  /** Holds pieces of a warehouse, and lets their time be over. */
  async function anOverdue(productId: string, quantity: number, warehouse = 0): Promise<string> {
    const { id } = await aReservation(test.aUser(), productId, { quantity, warehouse_id: warehouses[warehouse] });
    await letTimePass(test, id);
    return id;
  }

  /** What is taken from each warehouse. */
  function takenFrom(reply: Reply, productId?: string): number[] {
    const items: { product_id: string; warehouse_id: string; quantity: number }[] = dataOf(reply).items;
    const own = items.filter((item) => (productId ?? item.product_id) === item.product_id);
    return warehouses.map((id) => own.find((item) => item.warehouse_id === id)?.quantity ?? 0);
  }

  async function availableIn(productId: string): Promise<number[]> {
    const levels: { warehouse_id: string; available_stock: number }[] = dataOf(
      await test.anonymous.get(`/api/products/${productId}`),
    ).stock_levels;
    return warehouses.map((id) => levels.find((level) => level.warehouse_id === id)!.available_stock);
  }

  const storedStatus = async (id: string): Promise<unknown> =>
    (await test.database.query<{ status: string }>('SELECT status FROM reservations WHERE id = $1', [id]))[0]!.status;

  it('whole from the first warehouse, though all that it has is held by one', async () => {
    const product = await stocked(4, 3, 1);
    const over = await anOverdue(product, 4);
    expect(await availableIn(product)).toEqual([4, 3, 1]);
    expect(takenFrom(await reserve(product, 4))).toEqual([4, 0, 0]);
    expect(await storedStatus(over)).toBe('expired');
  });

  it('whole from the first warehouse, though the second could serve it whole as well', async () => {
    const product = await stocked(4, 5, 1);
    await anOverdue(product, 3);
    expect(takenFrom(await reserve(product, 2))).toEqual([2, 0, 0]);
    expect(await availableIn(product)).toEqual([2, 5, 1]);
  });

  it('split by priority over what they all have', async () => {
    const product = await stocked(4, 3, 4);
    await anOverdue(product, 2);
    await anOverdue(product, 3, 1);
    expect(takenFrom(await reserve(product, 6))).toEqual([4, 2, 0]);
  });

  it('for an order that reserves as it is made, and cancels the pending order that had the pieces', async () => {
    const product = await stocked(4, 4);
    const owner = test.aUser();
    const left = await anOrder(owner, product, 4);
    await letTimePass(test, left.reservation_id);
    const reply = await test.aUser().post('/api/orders', { items: [{ product_id: product, quantity: 3 }] });
    expect(takenFrom(reply)).toEqual([3, 0, 0]);
    expect(dataOf(await owner.get(`/api/orders/${left.id}/history`))).toMatchObject([
      { from: 'pending', to: 'cancelled', actor: 'system:reservation-expiry', request_id: reply.body.request_id },
    ]);
  });

  it('for each line of a basket, and leaves alone the holds that change nothing', async () => {
    const [one, two, other] = [await stocked(2, 9), await stocked(3, 9), await stocked(9, 9)];
    const holds = [await anOverdue(one, 2), await anOverdue(two, 1), await anOverdue(other, 5)];
    const items = [one, two, other].map((product_id) => ({ product_id, quantity: 2 }));
    const reply = await test.aUser().post('/api/reservations', { items });
    expect([one, two, other].map((id) => takenFrom(reply, id))).toEqual([
      [2, 0, 0],
      [2, 0, 0],
      [2, 0, 0],
    ]);
    expect(await Promise.all(holds.map(storedStatus))).toEqual(['expired', 'active', 'active']);
  });

  it('where a line names its warehouse and another one does not', async () => {
    const product = await stocked(4, 4);
    await anOverdue(product, 3);
    const items = [
      { product_id: product, quantity: 1, warehouse_id: warehouses[0] },
      { product_id: product, quantity: 3 },
    ];
    expect(takenFrom(await test.aUser().post('/api/reservations', { items }))).toEqual([4, 0, 0]);
  });

  it('each of a batch, on what those before it have left', async () => {
    const product = await stocked(5, 9, 1);
    await anOverdue(product, 3);
    const { replies } = await inOneBatch(
      test,
      [2, 3, 1].map((quantity) => () => reserve(product, quantity)),
    );
    expect(replies.map((reply) => takenFrom(reply))).toEqual([
      [2, 0, 0],
      [3, 0, 0],
      [0, 1, 0],
    ]);
  });

  it('also when a sweep is just about to end them', async () => {
    // The sweep has the hold locked and waits for the level of `other`, which it needs before that of `product`.
    const [other, product] = [(await aProduct(test)).id, await stocked(4, 3, 1)];
    const items = [
      { product_id: other, quantity: 1 },
      { product_id: product, quantity: 4, warehouse_id: warehouses[0] },
    ];
    const { id } = dataOf(await test.aUser().post('/api/reservations', { items }));
    await test.sweep();
    await letTimePass(test, id);
    let reply: Promise<Reply> | undefined;
    const meanwhile = async (): Promise<void> => {
      reply = reserve(product, 4);
    };
    const lock = { sql: LOCK_LEVELS, values: [other], meanwhile };
    expect(await whileLocked(test.database, lock, () => test.sweep())).toBe(1);
    expect(takenFrom(await reply!)).toEqual([4, 0, 0]);
  });

  it('but from where pieces are, while what is over is locked by somebody who does not let go', async () => {
    const product = await stocked(4, 3, 1);
    const [locked, free] = [await anOverdue(product, 2), await anOverdue(product, 2)];
    const replies: Reply[] = [];
    const meanwhile = async (): Promise<void> => {
      replies.push(await reserve(product, 2), await reserve(product, 2));
    };
    const lock = { sql: 'SELECT FROM reservations WHERE id = $1 FOR UPDATE', values: [locked], waiters: 0, meanwhile };
    await whileLocked(test.database, lock, async () => undefined);
    // There are the two of the free hold, and then the second warehouse.
    expect(replies.map((reply) => takenFrom(reply))).toEqual([
      [2, 0, 0],
      [0, 2, 0],
    ]);
    expect([await storedStatus(locked), await storedStatus(free)]).toEqual(['active', 'expired']);
  });
});
