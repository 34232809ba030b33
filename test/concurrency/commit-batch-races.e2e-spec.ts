import type { Api, Reply } from '../support/api';
import { LOCK_LEVELS, queueUp } from '../support/batches';
import { aCommit, answersOf, commit, inOneCommitBatch } from '../support/commits';
import { createDatabase, type TestDatabase } from '../support/database';
import {
  anOrder,
  aProduct,
  aReservation,
  aWarehouse,
  dataOf,
  expectReconciled,
  type Reservation,
  stockOf,
  stockUp,
} from '../support/factories';
import { deadlocksIn, inLine, persistently, storm, tally, untilWaiting, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const LOCK_RESERVATION = 'SELECT FROM reservations WHERE id = $1 FOR UPDATE';

const holdBasket = async (user: Api, basket: Record<string, number>): Promise<Reservation> => {
  const items = Object.entries(basket).map(([product_id, quantity]) => ({ product_id, quantity }));
  return dataOf(await user.post('/api/reservations', { items }));
};

describe('A batch of commits', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ DATABASE_POOL_SIZE: '20' });
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  /** Each level of these products, and what the ledger says that it was last. */
  const levelsOf = (productIds: string[]): Promise<object[]> =>
    test.database.query(
      `SELECT level.product_id, level.warehouse_id, available, reserved, available_after, reserved_after
       FROM stock_levels AS level CROSS JOIN LATERAL (
         SELECT available_after, reserved_after FROM stock_movements AS movement
         WHERE (movement.product_id, movement.warehouse_id) = (level.product_id, level.warehouse_id)
         ORDER BY created_at DESC, id DESC LIMIT 1) AS last
       WHERE product_id = ANY($1) ORDER BY product_id, warehouse_id`,
      [productIds],
    );

  it('takes each piece of its baskets from the warehouse where it is held, at the price that is held', async () => {
    const [mug, pen] = [await aProduct(test, { initial_stock: 6 }), await aProduct(test, { price: '0.50' })];
    await stockUp(test, mug.id, 4, (await aWarehouse(test)).id);
    const baskets = [{ [mug.id]: 7, [pen.id]: 2 }, { [mug.id]: 1 }, { [mug.id]: 1, [pen.id]: 3 }, { [pen.id]: 4 }].map(
      (basket) => ({ basket, user: test.aUser() }),
    );
    const held: Reservation[] = [];
    for (const { basket, user } of baskets) {
      held.push(await holdBasket(user, basket));
    }
    dataOf(await test.admin.patch(`/api/products/${mug.id}`, { price: '1.00' }));
    const levels = await levelsOf([mug.id, pen.id]);
    expect(levels).toHaveLength(3);

    const commits = baskets.map(({ user }, index) => aCommit(user, held[index]!.id));
    const { replies, written } = await inOneCommitBatch(test, commits);
    expect(replies.map((reply) => dataOf(reply))).toMatchObject(
      held.map(({ items }, index) => ({ user_id: baskets[index]!.user.userId, items })),
    );
    expect(replies.map((reply) => dataOf(reply).total_amount)).toEqual(['140.30', '19.90', '21.40', '2.00']);
    expect(replies[0]!.body.data.items).toHaveLength(3);
    expect(written).toEqual({
      ...{ orders: 4, order_items: 7, order_status_changes: 4, stock_movements: 7, audit_logs: 12 },
    });
    expect(await levelsOf([mug.id, pen.id])).toEqual(
      levels.map((level) => ({ ...level, reserved: 0, reserved_after: 0 })),
    );
    expect(await stockOf(test, mug.id)).toEqual({ available: 1, reserved: 0, total: 1 });
    expect(await stockOf(test, pen.id)).toEqual({ available: 1, reserved: 0, total: 1 });
  });

  it('agrees with what else befalls its reservations: each has one end, which its answers tell', async () => {
    const product = await aProduct(test, { initial_stock: 160 });
    const user = test.aUser();
    const holds = await storm(100, async (index) => {
      const order = index % 3 === 0 ? await anOrder(user, product.id) : undefined;
      return { id: order?.reservation_id ?? (await aReservation(user, product.id)).id, orderId: order?.id };
    });
    const act = (id: string, action: string, body?: object): Promise<Reply> =>
      persistently(() => user.post(`/api/reservations/${id}/${action}`, body));
    const reserve = (): Promise<Reply> =>
      persistently(() => test.aUser().post('/api/reservations', { product_id: product.id, quantity: 1 }));
    const newcomers = storm(40, reserve);
    const ends = await storm(100, async (index) => {
      const { id, orderId } = holds[index]!;
      const cancel = (): Promise<Reply> => act(id, 'cancel');
      const buy = (): Promise<Reply> => persistently(() => commit(aCommit(user, id)));
      const extend = (): Promise<Reply> => act(id, 'extend', { ttl_seconds: 900 });
      // Whoever is asked first has the better chances: half of them the commit, half of them the cancellation.
      const asked = index % 2 ? [buy, cancel, extend, buy] : [cancel, buy, extend, buy];
      const replies = await Promise.all(asked.map((one) => one()));
      const now = dataOf(await user.get(`/api/reservations/${id}`));
      const cancelled = replies.splice(index % 2 ? 1 : 0, 1);
      const extended = replies.splice(1, 1);
      const over = `409 ${now.status}`;
      expect(answersOf(replies).sort()).toEqual(now.status === 'committed' ? ['201', over] : [over, over]);
      expect(tally(cancelled)).toEqual(now.status === 'cancelled' ? { '200': 1 } : { '409 reservation_not_active': 1 });
      expect(['200 undefined', over]).toContain(answersOf(extended)[0]);
      const sold = replies.find(({ status }) => status === 201);
      expect(now.order_id).toBe(sold ? dataOf(sold).id : (orderId ?? null));
      if (now.order_id !== null) {
        const order = dataOf(await user.get(`/api/orders/${now.order_id}`));
        expect(order).toMatchObject({ status: sold ? 'confirmed' : 'cancelled', version: 2, reservation_id: id });
        expect(orderId === undefined || order.id === orderId).toBe(true);
      }
      return now.status as string;
    });
    expect(tally(await newcomers)).toEqual({ '201': 40 });
    const [committed, cancelled] = ['committed', 'cancelled'].map((end) => ends.filter((one) => one === end).length);
    expect(committed! + cancelled!).toBe(100);
    expect(await stockOf(test, product.id)).toEqual({
      ...{ available: 20 + cancelled!, reserved: 40, total: 160 - committed! },
    });
  });
});

describe('Commits at two processes', () => {
  let database: TestDatabase;
  let test: TestApp;
  let twin: TestApp;
  beforeAll(async () => {
    database = await createDatabase();
  });
  beforeEach(async () => {
    test = await startTestApp({}, database);
    twin = await startTestApp({}, database);
  });
  afterEach(async () => {
    await expectReconciled(test);
    await Promise.all([test.close(), twin.close()]);
    expect(await deadlocksIn(database)).toBe(0);
  });
  afterAll(() => database.drop());

  /**
   * Has these reservations committed in one batch at each process, in opposite orders. The batch of the second process
   * comes first for what `lock` locks, where both wait for each other if they do not lock everything in one order.
   */
  async function crossing(
    ids: readonly string[],
    others: readonly string[],
    lock: { sql: string; values: string[] },
  ): Promise<[Reply[], Reply[]]> {
    const gate = await aProduct(test);
    const openers = [await aReservation(test.admin, gate.id), await aReservation(test.admin, gate.id)];
    let [here, there]: Promise<Reply>[][] = [];
    const at = (process: TestApp, id: string): Promise<Reply> => commit(aCommit(test.admin.at(process.url), id));
    const gather = async (): Promise<void> => {
      there = await queueUp(
        twin,
        others.map((id) => () => at(twin, id)),
      );
      here = await queueUp(
        test,
        ids.map((id) => () => at(test, id)),
      );
    };
    const openBoth = async (): Promise<void> => {
      const first = at(twin, openers[0]!.id);
      await untilWaiting(database, 1);
      expect(answersOf(await Promise.all([first, at(test, openers[1]!.id)]))).toEqual(['201', '201']);
    };
    const meanwhile = async (): Promise<void> => {
      await whileLocked(database, { sql: LOCK_LEVELS, values: [gate.id], waiters: 2, meanwhile: gather }, openBoth);
      await untilWaiting(database, 2);
    };
    await whileLocked(database, { ...lock, waiters: 0, meanwhile }, async () => undefined);
    return [await Promise.all(here!), await Promise.all(there!)];
  }

  it('lock the levels of their batches in one order, whichever of their requests came first', async () => {
    const [one, other] = [await aProduct(test), await aProduct(test)];
    const hold = async ({ id }: { id: string }): Promise<string> => (await aReservation(test.aUser(), id)).id;
    const [ids, others] = [
      [await hold(one), await hold(other)],
      [await hold(other), await hold(one)],
    ];
    const replies = await crossing(ids, others, { sql: LOCK_LEVELS, values: [other.id] });
    expect(replies.map(answersOf)).toEqual([
      ['201', '201'],
      ['201', '201'],
    ]);
  });

  it('lock the reservations of their batches in one order, and sell each once', async () => {
    const [product, user] = [await aProduct(test), test.aUser()];
    const [one, other] = [await aReservation(user, product.id), await aReservation(user, product.id)];
    const lock = { sql: LOCK_RESERVATION, values: [other.id] };
    const [here, there] = await crossing([one.id, other.id], [other.id, one.id], lock);
    expect([...answersOf(here), ...answersOf(there)].sort()).toEqual(['201', '201', '409 committed', '409 committed']);
    expect(await stockOf(test, product.id)).toEqual({ available: 8, reserved: 0, total: 8 });
    expect(dataOf(await user.get('/api/orders'))).toHaveLength(2);
  });

  it.each([
    ['without a key', undefined, '409 committed'],
    ['with one key', 'a-key', '201'],
  ])('sell a reservation once that is committed at both, %s: the second in line is told so', async (_, key, told) => {
    const [product, user] = [await aProduct(test), test.aUser()];
    const { id } = await aReservation(user, product.id);
    const replies = await inLine(database, { sql: LOCK_RESERVATION, values: [id] }, [
      () => commit(aCommit(user, id, key)),
      () => commit(aCommit(user.at(twin.url), id, key)),
    ]);
    expect(answersOf(replies)).toEqual(['201', told]);
    expect(replies[1]!.headers['idempotent-replayed']).toBe(key && 'true');
    expect(replies[1]!.body.data).toEqual(key && replies[0]!.body.data);
    expect(dataOf(await user.get('/api/orders'))).toHaveLength(1);
    expect(await stockOf(test, product.id)).toEqual({ available: 9, reserved: 0, total: 9 });
  });

  it('serve baskets that cross each other, each once, however often they are asked for', async () => {
    const products = [await aProduct(test, { initial_stock: 40 }), await aProduct(test, { initial_stock: 40 })];
    const user = test.aUser();
    const holds: Reservation[] = [];
    while (holds.length < 40) {
      const [one, other] = holds.length % 2 ? products : [...products].reverse();
      holds.push(await holdBasket(user, { [one!.id]: 1, [other!.id]: 1 }));
    }
    const buyAll = async (process: TestApp, ids: string[]): Promise<Reply[]> =>
      Promise.all(ids.map((id) => commit(aCommit(user.at(process.url), id))));
    const ids = holds.map(({ id }) => id);
    const [here, there] = await Promise.all([buyAll(test, ids), buyAll(twin, [...ids].reverse())]);
    for (const [index, reply] of here.entries()) {
      expect(answersOf([reply, there[39 - index]!]).sort()).toEqual(['201', '409 committed']);
    }
    for (const { id } of products) {
      expect(await stockOf(test, id)).toEqual({ available: 0, reserved: 0, total: 0 });
    }
  });
});
