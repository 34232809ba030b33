import { randomUUID } from 'node:crypto';
import { type Api, type Reply } from '../support/api';
import {
  anOrder,
  aProduct,
  aReservation,
  aWarehouse,
  dataOf,
  expectReconciled,
  letTimePass,
  stockOf,
} from '../support/factories';
import { inLine, inTurns, queuedAt, storm, tally, until, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const LOCK_LEVELS = 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE';

describe('Two processes on one database', () => {
  let test: TestApp;
  let twin: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
    twin = await startTestApp({}, test.database);
  });
  afterEach(() => expectReconciled(twin));
  afterAll(async () => {
    await twin.close();
    await test.close();
  });

  /** A user, as each of the two processes knows them. */
  function aUserAtBoth(): [Api, Api] {
    const user = test.aUser();
    return [user, user.at(twin.url)];
  }

  const reserve = (user: Api, productId: string, headers = {}): Promise<Reply> =>
    user.post('/api/reservations', { product_id: productId, quantity: 1 }, headers);

  it('sell 9 pieces to 9 of 60 buyers', async () => {
    const product = await aProduct(test, { initial_stock: 9 });
    const replies = await storm(60, (index) => reserve((index % 2 ? test : twin).aUser(), product.id));
    expect(tally(replies)).toEqual({ '201': 9, '409 insufficient_stock': 51 });
    for (const { body } of replies.filter(({ status }) => status === 409)) {
      expect(body.shortages).toEqual([{ product_id: product.id, requested: 1, available: 0 }]);
    }
    expect(await stockOf(twin, product.id)).toEqual({ available: 0, reserved: 9, total: 9 });
  });

  it('give the last piece to the first in line, whichever process it came to', async () => {
    const [product, [here, there]] = [await aProduct(test, { initial_stock: 1 }), aUserAtBoth()];
    const replies = await inLine(test.database, { sql: LOCK_LEVELS, values: [product.id] }, [
      () => reserve(there, product.id),
      () => reserve(here, product.id),
    ]);
    expect(replies.map(({ status }) => status)).toEqual([201, 409]);
  });

  it('serve baskets that cross each other', async () => {
    const products = [await aProduct(test, { initial_stock: 60 }), await aProduct(test, { initial_stock: 60 })];
    const lines = products.map(({ id }) => ({ product_id: id, quantity: 1 }));
    const replies = await storm(12, (index) => {
      const [buyer, items] = index % 2 ? [test.aUser(), lines] : [twin.aUser(), [...lines].reverse()];
      return inTurns(5, () => buyer.post('/api/orders', { items }));
    });
    expect(tally(replies.flat())).toEqual({ '201': 60 });
  });

  it('carry out one key once, and both give its answer', async () => {
    const [product, [here, there], key] = [await aProduct(test), aUserAtBoth(), randomUUID()];
    const replies = await storm(40, (index) =>
      reserve(index % 2 ? here : there, product.id, { 'Idempotency-Key': key }),
    );
    const done = replies.filter(({ status }) => status === 201);
    expect(done.filter(({ headers }) => headers['idempotent-replayed'] !== 'true')).toHaveLength(1);
    expect(new Set(done.map((reply) => dataOf(reply).id)).size).toBe(1);
    expect(replies.filter(({ status, body }) => status !== 201 && body.code !== 'idempotency_in_progress')).toEqual([]);
    expect(await stockOf(test, product.id)).toMatchObject({ reserved: 1 });
  });

  it('give the answer of the one at the other, if it stood in line behind it', async () => {
    const [product, [here, there], key] = [await aProduct(test), aUserAtBoth(), { 'Idempotency-Key': randomUUID() }];
    const replies = await inLine(test.database, { sql: LOCK_LEVELS, values: [product.id] }, [
      () => reserve(here, product.id, key),
      () => reserve(there, product.id, key),
    ]);
    expect(replies.map(({ status, headers }) => [status, headers['idempotent-replayed']])).toEqual([
      [201, undefined],
      [201, 'true'],
    ]);
    expect(replies[1]!.body.data).toEqual(replies[0]!.body.data);
  });

  it('expire every overdue hold once, orders and all, when both sweep', async () => {
    const [product, user] = [await aProduct(test, { initial_stock: 250 }), test.aUser()];
    const holds = await storm(20, (index) =>
      index % 2 ? aReservation(user, product.id) : anOrder(user, product.id).then(({ reservation_id: id }) => ({ id })),
    );
    await Promise.all(holds.map(({ id }) => letTimePass(test, id)));
    const expired = await storm(6, (index) => (index % 2 ? test : twin).sweep());
    expect(expired.reduce((sum, count) => sum + count, 0)).toBe(20);
    expect(await stockOf(test, product.id)).toEqual({ available: 250, reserved: 0, total: 250 });
    const audit = await test.database.query(
      `SELECT object_id FROM audit_logs WHERE action = 'reservation.expired' AND object_id = ANY($1) GROUP BY object_id HAVING count(*) = 1`,
      [holds.map(({ id }) => id)],
    );
    expect(audit).toHaveLength(20);
  });

  it('sweep a backlog of more than one batch side by side', async () => {
    const [product, user] = [await aProduct(test, { initial_stock: 230 }), test.aUser()];
    await storm(230, () => aReservation(user, product.id));
    await test.database.query(`UPDATE reservations SET expires_at = clock_timestamp() WHERE user_id = $1`, [
      user.userId,
    ]);
    const [here, there] = await Promise.all([test.sweep(), twin.sweep()]);
    const rest = await test.sweep();
    expect(here + there + rest).toBe(230);
    expect(await stockOf(test, product.id)).toEqual({ available: 230, reserved: 0, total: 230 });
  });

  it('confirm an order once, and agree on its version', async () => {
    const [product, [here, there]] = [await aProduct(test), aUserAtBoth()];
    const order = await anOrder(here, product.id);
    const replies = await storm(20, (index) =>
      (index % 2 ? here : there).patch(
        `/api/orders/${order.id}/status`,
        { status: 'confirmed' },
        { 'If-Match': '"1"' },
      ),
    );
    expect(tally(replies)).toEqual({ '200': 1, '412 version_mismatch': 19 });
    expect(await stockOf(twin, product.id)).toEqual({ available: 9, reserved: 0, total: 9 });
  });

  it('make levels in one order: who waits for one that another is making has not made the one after it', async () => {
    const { id } = await aProduct(test);
    const [first, second] = [(await aWarehouse(test)).id, (await aWarehouse(test)).id].sort() as [string, string];
    const make = (warehouseId: string): string =>
      `INSERT INTO stock_levels (product_id, warehouse_id) VALUES ('${id}', '${warehouseId}')`;
    const tryToMake = `BEGIN; SET LOCAL lock_timeout = '500ms'; ${make(second)}; ROLLBACK`;
    const lock = { sql: make(first), meanwhile: () => test.database.query(tryToMake) };
    const body = { product_id: id, from_warehouse_id: second, to_warehouse_id: first, quantity: 1 };
    const reply = await whileLocked(test.database, lock, () => test.admin.post('/api/stock-transfers', body));
    expect(reply.body.code).toBe('insufficient_stock');
  });

  it('take keys in one order: a batch that waits for one has not taken the one after it', async () => {
    const [product, user] = [await aProduct(test), test.aUser()];
    const [first, second] = [randomUUID(), randomUUID()].sort() as [string, string];
    const ask = (key: string) => (): Promise<Reply> => reserve(user, product.id, { 'Idempotency-Key': key });
    // A key that is there, and old enough to be taken again.
    dataOf(await ask(first)());
    const age = `UPDATE idempotency_keys SET created_at = created_at - interval '25 hours' WHERE key = $1`;
    await test.database.query(age, [first]);
    const isAtKey = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
      AND query LIKE '%INSERT INTO idempotency_keys%'`;
    const tryToTake = `BEGIN; SET LOCAL lock_timeout = '500ms'; INSERT INTO idempotency_keys (caller, method, path, key, fingerprint)
      VALUES ('${user.userId}', 'POST', '/api/reservations', '${second}', ''); ROLLBACK`;
    const meanwhile = async (): Promise<void> => {
      await until(async () => (await test.database.query(isAtKey)).length > 0, 'the batch waits for the key');
      await test.database.query(tryToTake);
    };
    const lock = { sql: 'SELECT FROM idempotency_keys WHERE key = $1 FOR UPDATE', values: [first], meanwhile };
    const replies = await whileLocked(test.database, lock, () =>
      inLine(test.database, { sql: LOCK_LEVELS, values: [product.id] }, [
        () => reserve(test.aUser(), product.id),
        queuedAt(test, ask(second)),
        queuedAt(test, ask(first)),
      ]),
    );
    expect(tally(replies)).toEqual({ '201': 3 });
  });
});
