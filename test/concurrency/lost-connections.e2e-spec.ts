import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { HOLD_KEY, inOneBatch, LOCK_LEVELS, metricOf } from '../support/batches';
import { createDatabase, rowCounts, type TestDatabase } from '../support/database';
import { DatabaseProxy } from '../support/database-proxy';
import { aProduct, expectReconciled, type Product, stockOf } from '../support/factories';
import { inTurns, storm, tally, until, untilQueued, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

/** COMMIT of a transaction of a gated request waits for the gate. */
const GATE = `
  CREATE TABLE gate (request_id uuid PRIMARY KEY);
  CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM FROM gate WHERE request_id = NEW.request_id FOR UPDATE;
    RETURN NULL;
  END $$;
  CREATE CONSTRAINT TRIGGER wait_at_gate AFTER INSERT ON audit_logs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION wait_at_gate()`;

const SESSIONS = `pg_stat_activity WHERE datname = current_database() AND application_name = 'holdfast'`;
const WHO_WAITS = `SELECT pid FROM ${SESSIONS} AND wait_event_type = 'Lock'`;
const WHO_WAITS_AT_COMMIT = `${WHO_WAITS} AND query = 'COMMIT'`;
const WHO_WAITS_FOR_THAT = `
  SELECT waiting.pid FROM (${WHO_WAITS}) AS waiting, (${WHO_WAITS_AT_COMMIT}) AS committing
  WHERE committing.pid = ANY(pg_blocking_pids(waiting.pid))`;

let database: TestDatabase;
let proxy: DatabaseProxy;
let test: TestApp;
beforeAll(async () => {
  database = await createDatabase();
  await database.query(GATE);
  proxy = await DatabaseProxy.before(database.url);
  test = await startTestApp({ LOG_LEVEL: 'fatal' }, { ...database, url: proxy.url });
});
afterEach(() => expectReconciled(test));
afterAll(async () => {
  await test.close();
  await proxy.close();
  await database.drop();
});

/** Returns when the statement finds a session that is none of `others`. */
async function untilFound(sessions: string, others: number[] = []): Promise<number> {
  let found: number | undefined;
  await until(async () => {
    const rows = await database.query<{ pid: number }>(sessions);
    found = rows.map(({ pid }) => pid).find((pid) => !others.includes(pid));
    return found !== undefined;
  }, 'the session waits');
  return found!;
}

async function terminate(pid: number): Promise<number> {
  expect(await database.query('SELECT pg_terminate_backend($1) AS done', [pid])).toEqual([{ done: true }]);
  return pid;
}

const reserve = (user: Api, { id }: Product, key: string = randomUUID()): Promise<Reply> =>
  user.post('/api/reservations', { product_id: id, quantity: 1 }, { 'Idempotency-Key': key, 'X-Request-Id': key });

const created = (): Promise<number> => metricOf(test, 'holdfast_reservations_total{outcome="created"}');

/** What each table has more than before. */
async function difference(before: Record<string, number>): Promise<Record<string, number>> {
  const gained = Object.entries(await rowCounts(database)).map(([table, rows]) => [table, rows - before[table]!]);
  return Object.fromEntries(gained.filter(([, rows]) => rows !== 0));
}

const ONE_KEYED = { reservations: 1, reservation_items: 1, stock_movements: 1, audit_logs: 1, idempotency_keys: 1 };

describe('A batch that loses its connection before COMMIT', () => {
  it('is begun once more, and has its effect once', async () => {
    const [product, user, key] = [await aProduct(test), test.aUser(), randomUUID()];
    const [before, counted] = [await rowCounts(database), await created()];
    const cut = async () => untilFound(WHO_WAITS, [await terminate(await untilFound(WHO_WAITS))]);
    const lock = { sql: LOCK_LEVELS, values: [product.id], meanwhile: cut };
    const reply = await whileLocked(database, lock, () => reserve(user, product, key));
    expect(reply).toMatchObject({ status: 201, body: { data: { status: 'active' } } });
    expect(reply.headers['idempotent-replayed']).toBeUndefined();
    expect(await difference(before)).toEqual(ONE_KEYED);
    expect(await stockOf(test, product.id)).toEqual({ available: 9, reserved: 1, total: 10 });
    expect(await created()).toBe(counted + 1);
    const again = await reserve(user, product, key);
    expect([again.headers['idempotent-replayed'], again.body.data]).toEqual(['true', reply.body.data]);
  });

  it('is not begun a third time: it is answered 503, nothing was changed, and its key serves right after', async () => {
    const [product, user, key] = [await aProduct(test), test.aUser(), randomUUID()];
    const before = await rowCounts(database);
    const cutTwice = async () => {
      const first = await terminate(await untilFound(WHO_WAITS));
      await terminate(await untilFound(WHO_WAITS, [first]));
    };
    let asked: Promise<Reply> | undefined;
    const lock = { sql: LOCK_LEVELS, values: [product.id], meanwhile: () => cutTwice().then(() => asked) };
    const reply = await whileLocked(database, lock, () => (asked = reserve(user, product, key)));
    expect(reply).toMatchObject({
      status: 503,
      body: { code: 'database_unavailable' },
      headers: { 'retry-after': '2' },
    });
    expect(await difference(before)).toEqual({});
    expect((await reserve(user, product, key)).status).toBe(201);
    expect(await difference(before)).toEqual(ONE_KEYED);
  });
});

describe('A storm in which connections are lost at any moment', () => {
  it('leaves nothing twice: what was answered 201 is there, what was answered 503 is not', async () => {
    const product = await aProduct(test, { initial_stock: 200 });
    const made = async () =>
      (await database.query('SELECT FROM reservation_items WHERE product_id = $1', [product.id])).length;
    // Without keys, which would guard each of them alone.
    const buy = () => test.aUser().post('/api/reservations', { product_id: product.id, quantity: 1 });
    const running = storm(12, () => inTurns(10, buy));
    const losses = [
      () => proxy.next('COMMIT', 'answer is lost', product.id),
      () => proxy.next('COMMIT', 'client is cut', product.id),
      () => database.query(`SELECT pg_terminate_backend(pid) FROM ${SESSIONS}`),
    ];
    for (const [index, lose] of [...losses, ...losses].entries()) {
      await until(async () => (await made()) >= 12 * index, `${12 * index} reservations are made`);
      await lose();
    }
    const replies = (await running).flat();
    const {
      '201': served,
      '503 database_unavailable': _,
      '500 outcome_unknown': unknown = 0,
      ...others
    } = tally(replies);
    expect(others).toEqual({});
    const { reserved } = await stockOf(test, product.id);
    expect(reserved).toBe(await made());
    // Only where COMMIT was lost twice nobody can say what became of it, and the answer says so.
    expect(reserved).toBeGreaterThanOrEqual(served!);
    expect(reserved).toBeLessThanOrEqual(served! + unknown);
  });
});

describe('A batch that loses its connection during COMMIT', () => {
  /** Three get a piece, the fourth is the first one again, and the last finds fewer left than it asks for. */
  function aMixedBatch({ id }: Product, orderKey: string = randomUUID()): (() => Promise<Reply>)[] {
    const [user, key] = [test.aUser(), randomUUID()];
    const line = { product_id: id, quantity: 1 };
    const keyed = () => user.post('/api/reservations', line, { 'Idempotency-Key': key });
    return [
      keyed,
      () => test.aUser().post('/api/reservations', line),
      () => user.post('/api/orders', { items: [line] }, { 'Idempotency-Key': orderKey, 'X-Request-Id': orderKey }),
      keyed,
      () => test.aUser().post('/api/reservations', { ...line, quantity: 3 }),
    ];
  }
  const MIXED = { '201': 4, '409 insufficient_stock': 1 };
  const WRITTEN = {
    ...{ reservations: 3, reservation_items: 3, orders: 1, order_items: 1 },
    ...{ stock_movements: 3, audit_logs: 4, idempotency_keys: 2 },
  };

  interface Outcome {
    readonly product: Product;
    readonly replies: Reply[];
    readonly written: Record<string, number>;
  }

  /** Everyone was answered what is there, and is answered it again. */
  async function expectDoneOnce(attempts: (() => Promise<Reply>)[], { product, replies, written }: Outcome) {
    expect(tally(replies)).toEqual(MIXED);
    expect(replies.map(({ headers }) => headers['idempotent-replayed'])).toEqual([
      ...[undefined, undefined, undefined, 'true', undefined],
    ]);
    expect(written).toEqual(WRITTEN);
    const [first, second, order, repeated] = replies.map(({ body }) => body.data);
    expect(repeated).toEqual(first);
    const held = await database.query<{ id: string }>(
      'SELECT reservation_id AS id FROM reservation_items WHERE product_id = $1',
      [product.id],
    );
    expect(held.map(({ id }) => id).sort()).toEqual([first.id, second.id, order.reservation_id].sort());
    expect(await database.query('SELECT reservation_id FROM orders WHERE id = $1', [order.id])).toEqual([
      { reservation_id: order.reservation_id },
    ]);
    expect(await stockOf(test, product.id)).toEqual({ available: 1, reserved: 3, total: 4 });
    for (const index of [0, 2]) {
      const again = await attempts[index]!();
      expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, 'true']);
      expect(again.body.data).toEqual(replies[index]!.body.data);
    }
  }

  it('answers all of it as it was decided if COMMIT has taken effect', async () => {
    const [product, counted] = [await aProduct(test, { initial_stock: 4 }), await created()];
    const attempts = aMixedBatch(product);
    const lost = proxy.next('COMMIT', 'answer is lost', product.id);
    const outcome = await inOneBatch(test, attempts);
    await lost;
    // The two that kept everything waiting were created as well.
    expect(await created()).toBe(counted + 5);
    await expectDoneOnce(attempts, { product, ...outcome });
  });

  /** Lets COMMIT of the transaction of this request wait, and opens the gate after `meanwhile`, which is told its session. */
  async function atGate<T>(
    requestId: string,
    meanwhile: (pid: number) => Promise<unknown>,
    gated: () => Promise<T>,
  ): Promise<T> {
    await database.query('INSERT INTO gate VALUES ($1)', [requestId]);
    const lock = { sql: 'SELECT FROM gate WHERE request_id = $1 FOR UPDATE', values: [requestId] };
    const gather = async () => meanwhile(await untilFound(WHO_WAITS_AT_COMMIT));
    return whileLocked(database, { ...lock, meanwhile: gather }, gated);
  }

  it('waits under its locks for a COMMIT that takes effect only later', async () => {
    const [product, counted] = [await aProduct(test, { initial_stock: 4 }), await created()];
    const orderKey = randomUUID();
    const attempts = aMixedBatch(product, orderKey);
    const cut = proxy.next('COMMIT', 'client is cut', product.id);
    const outcome = await atGate(
      orderKey,
      () => untilFound(WHO_WAITS_FOR_THAT),
      () => inOneBatch(test, attempts),
    );
    await cut;
    expect(await created()).toBe(counted + 5);
    await expectDoneOnce(attempts, { product, ...outcome });
  });

  it('waits for that also in a part of a batch that has waited for locks in vain', async () => {
    const product = await aProduct(test);
    const [requestId, heldKey, unlucky] = [randomUUID(), randomUUID(), test.aUser()];
    const gated = () =>
      test.aUser().post('/api/reservations', { product_id: product.id, quantity: 1 }, { 'X-Request-Id': requestId });
    const cut = proxy.next('COMMIT', 'client is cut', requestId);
    const elsewhere = await database.pool.connect();
    try {
      await elsewhere.query('BEGIN');
      await elsewhere.query(HOLD_KEY, [unlucky.userId, heldKey]);
      const { replies, written } = await atGate(
        requestId,
        () => untilFound(WHO_WAITS_FOR_THAT),
        () => inOneBatch(test, [() => reserve(unlucky, product, heldKey), gated]),
      );
      await cut;
      expect(replies.map(({ status }) => status)).toEqual([409, 201]);
      expect(written).toEqual({ reservations: 1, reservation_items: 1, stock_movements: 1, audit_logs: 1 });
    } finally {
      elsewhere.release(true);
    }
  });

  it('is carried out once, in the second try, if COMMIT has not taken effect', async () => {
    const [product, counted] = [await aProduct(test, { initial_stock: 4 }), await created()];
    const orderKey = randomUUID();
    const attempts = aMixedBatch(product, orderKey);
    const outcome = await atGate(
      orderKey,
      async (pid) => untilFound(WHO_WAITS_AT_COMMIT, [await terminate(pid)]),
      () => inOneBatch(test, attempts),
    );
    expect(await created()).toBe(counted + 5);
    await expectDoneOnce(attempts, { product, ...outcome });
  });

  it('answers 500 to those whose outcome nobody can say while the database is away, and 503 to others', async () => {
    const product = await aProduct(test);
    const [asking, other] = [test.aUser(), test.aUser()];
    const [key, otherKey] = [randomUUID(), randomUUID()];
    const before = await rowCounts(database);
    const away = proxy.next('COMMIT', 'answer is lost', product.id).then(() => proxy.goAway());
    let queued: Promise<Reply> | undefined;
    const queueUp = () => {
      queued = reserve(other, product, otherKey);
      return untilQueued(test, 1);
    };
    const reply = await atGate(key, queueUp, () => reserve(asking, product, key));
    await away;
    expect(reply).toMatchObject({ status: 500, body: { code: 'outcome_unknown' } });
    expect(await queued).toMatchObject({
      ...{ status: 503, body: { code: 'database_unavailable' }, headers: { 'retry-after': '2' } },
    });
    expect(await difference(before)).toEqual(ONE_KEYED);

    proxy.comeBack();
    const again = await reserve(asking, product, key);
    expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, 'true']);
    const otherReply = await reserve(other, product, otherKey);
    expect([otherReply.status, otherReply.headers['idempotent-replayed']]).toEqual([201, undefined]);
    expect(await stockOf(test, product.id)).toEqual({ available: 8, reserved: 2, total: 10 });
  });
});
