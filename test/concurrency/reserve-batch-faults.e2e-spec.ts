import { randomUUID } from 'node:crypto';
import { TransactionRunner } from '../../src/platform/database/transaction-runner';
import type { Api, Reply } from '../support/api';
import { HOLD_KEY, inOneBatch, LOCK_LEVELS, metricOf } from '../support/batches';
import { aProduct, aReservation, expectReconciled, letTimePass, stockOf } from '../support/factories';
import { poisonedRequests } from '../support/poison';
import { storm, tally, until, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

/** A lock is waited for 3 s, once. */
const ONE_WAIT_MS = 5_900;

const created = (test: TestApp): Promise<number> => metricOf(test, 'holdfast_reservations_total{outcome="created"}');

describe('One request that makes its batch fail', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ LOG_LEVEL: 'fatal' });
    await test.database.query(poisonedRequests());
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  it.each(['insert', 'commit'])(
    'fails alone, and leaves nothing behind, when it is its %s that fails',
    async (moment) => {
      const product = await aProduct(test, { initial_stock: 30 });
      const buyers = Array.from({ length: 20 }, (_, index) => ({
        user: test.aUser(),
        id: randomUUID(),
        isOrder: index % 3 === 1,
      }));
      const culprit = buyers[13]!;
      expect(culprit.isOrder).toBe(true);
      const line = { product_id: product.id, quantity: 1 };
      const buy = ({ user, id, isOrder }: (typeof buyers)[number]): Promise<Reply> => {
        const headers = { 'X-Request-Id': id, 'Idempotency-Key': id };
        return isOrder
          ? user.post('/api/orders', { items: [line] }, headers)
          : user.post('/api/reservations', line, headers);
      };
      await test.database.query('INSERT INTO poison VALUES ($1, $2)', [culprit.id, moment]);
      const before = await created(test);

      const { replies, written } = await inOneBatch(
        test,
        buyers.map((buyer) => () => buy(buyer)),
      );
      expect(tally(replies)).toEqual({ '201': 19, '500 internal_error': 1 });
      expect(replies[13]!.status).toBe(500);
      expect(replies[13]!.body.request_id).toBe(culprit.id);
      expect(replies[13]!.text).not.toMatch(/inside|poison|trigger|SQL/);
      expect(written).toEqual({
        ...{ reservations: 19, reservation_items: 19, orders: 6, order_items: 6 },
        ...{ stock_movements: 19, audit_logs: 25, idempotency_keys: 19 },
      });
      expect(await stockOf(test, product.id)).toEqual({ available: 11, reserved: 19, total: 30 });
      const traces = await test.database.query(
        `SELECT FROM idempotency_keys WHERE key = $1::text UNION ALL
       SELECT FROM orders WHERE user_id = $2 UNION ALL SELECT FROM reservations WHERE user_id = $2`,
        [culprit.id, culprit.user.userId],
      );
      expect(traces).toEqual([]);
      // The two that kept everything waiting were created as well.
      expect(await created(test)).toBe(before + 21);

      await test.database.query('DELETE FROM poison');
      const again = await buy(culprit);
      expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, undefined]);
    },
  );
});

describe('A level that an outsider holds for longer than a lock is waited for', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ LOG_LEVEL: 'fatal' });
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  it('costs those their answer who want it, once and for all of them, and nobody else', async () => {
    const [held, free] = [await aProduct(test), await aProduct(test)];
    const [key, users] = [randomUUID(), Array.from({ length: 9 }, () => test.aUser())];
    const buy = (user: Api, ...products: { id: string }[]): Promise<Reply> => {
      const items = products.map(({ id }) => ({ product_id: id, quantity: 1 }));
      return user.post('/api/reservations', { items }, { 'Idempotency-Key': key });
    };
    const wanted = users.map((_, index) => [[held], [free], [held, free]][index % 3]!);
    const attempts = users.map((user, index) => () => buy(user, ...wanted[index]!));
    let running: ReturnType<typeof inOneBatch<Reply>> | undefined;
    const startedAt = performance.now();
    const { replies, written } = await whileLocked(
      test.database,
      { sql: LOCK_LEVELS, values: [held.id], meanwhile: () => running! },
      () => (running = inOneBatch(test, attempts)),
    );
    expect(performance.now() - startedAt).toBeLessThan(ONE_WAIT_MS);
    const refused = replies.filter((_, index) => index % 3 !== 1);
    expect(replies.filter((_, index) => index % 3 === 1).map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(tally(refused)).toEqual({ '503 overloaded': 6 });
    expect(refused.map(({ headers }) => headers['retry-after'])).toEqual(refused.map(() => '1'));
    expect(written).toEqual({
      ...{ reservations: 3, reservation_items: 3, stock_movements: 3, audit_logs: 3, idempotency_keys: 3 },
    });
    expect(await stockOf(test, held.id)).toEqual({ available: 10, reserved: 0, total: 10 });
    expect(await stockOf(test, free.id)).toEqual({ available: 7, reserved: 3, total: 10 });

    const again = await Promise.all(attempts.map((attempt) => attempt()));
    expect(tally(again)).toEqual({ '201': 9 });
    expect(again.map(({ headers }) => headers['idempotent-replayed'])).toEqual(
      again.map((_, index) => (index % 3 === 1 ? 'true' : undefined)),
    );
    expect(await stockOf(test, held.id)).toEqual({ available: 4, reserved: 6, total: 10 });
  });

  it('costs no more than that if it is overdue holds that cannot be expired for it', async () => {
    const [soldOut, free] = [await aProduct(test, { initial_stock: 1 }), await aProduct(test)];
    await letTimePass(test, (await aReservation(test.aUser(), soldOut.id)).id);
    const attempts = [soldOut, free, soldOut, free].map(
      ({ id }) =>
        () =>
          test.aUser().post('/api/reservations', { product_id: id, quantity: 1 }),
    );
    let running: ReturnType<typeof inOneBatch<Reply>> | undefined;
    const startedAt = performance.now();
    const { replies } = await whileLocked(
      test.database,
      { sql: LOCK_LEVELS, values: [soldOut.id], meanwhile: () => running! },
      () => (running = inOneBatch(test, attempts)),
    );
    expect(performance.now() - startedAt).toBeLessThan(ONE_WAIT_MS);
    expect([replies[1]!.status, replies[3]!.status]).toEqual([201, 201]);
    // It is not known whether they could have had the piece; it is known that they did not get it.
    for (const { status } of [replies[0]!, replies[2]!]) {
      expect([409, 503]).toContain(status);
    }
    expect(await stockOf(test, soldOut.id)).toEqual({ available: 1, reserved: 0, total: 1 });
    expect((await attempts[0]!()).status).toBe(201);
  });
});

describe('A key that another process holds for longer than a lock is waited for', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ LOG_LEVEL: 'fatal' });
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  it('costs only that request its answer, and the others one wait', async () => {
    const product = await aProduct(test);
    const buyers = Array.from({ length: 8 }, () => ({ user: test.aUser(), key: randomUUID() }));
    const buy = ({ user, key }: (typeof buyers)[number]): Promise<Reply> =>
      user.post('/api/reservations', { product_id: product.id, quantity: 1 }, { 'Idempotency-Key': key });
    const unlucky = buyers[5]!;
    const other = await test.database.pool.connect();
    try {
      await other.query('BEGIN');
      await other.query(HOLD_KEY, [unlucky.user.userId, unlucky.key]);
      const startedAt = performance.now();
      const attempts = buyers.map((buyer) => () => buy(buyer));
      const { replies, written } = await inOneBatch(test, attempts);
      expect(performance.now() - startedAt).toBeLessThan(ONE_WAIT_MS);
      const [refusal] = replies.splice(5, 1);
      expect(tally(replies)).toEqual({ '201': 7 });
      expect(['409 idempotency_in_progress', '503 overloaded']).toContain(`${refusal!.status} ${refusal!.body.code}`);
      expect(refusal!.headers['retry-after']).toBe('1');
      expect(written).toEqual({
        ...{ reservations: 7, reservation_items: 7, stock_movements: 7, audit_logs: 7, idempotency_keys: 7 },
      });
      expect(await stockOf(test, product.id)).toEqual({ available: 3, reserved: 7, total: 10 });
      await other.query('ROLLBACK');
    } finally {
      other.release(true);
    }
    const again = await buy(unlucky);
    expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, undefined]);
  });
});

describe('A pool that has no connection left', () => {
  const POOL_SIZE = 2;
  const PATIENCE_MS = 400;
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ DATABASE_POOL_SIZE: String(POOL_SIZE), LOG_LEVEL: 'fatal' });
  });
  afterAll(() => test.close());

  it('is waited for once by a batch, not once more by each of its parts', async () => {
    const product = await aProduct(test, { initial_stock: 50 });
    const transactions = test.app.get(TransactionRunner, { strict: false });
    const { connections } = transactions;
    let open!: () => void;
    const gate = new Promise<void>((resolve) => (open = resolve));
    let inUse = 0;
    const held = storm(POOL_SIZE, () =>
      transactions.run(({ tx }) => tx.query('SELECT').then(() => ((inUse += 1), gate))),
    );
    await until(async () => inUse === POOL_SIZE, 'all connections are in use');
    const patience = connections.waitTimeoutMs;
    connections.waitTimeoutMs = PATIENCE_MS;
    const buy = (): Promise<Reply> => test.aUser().post('/api/reservations', { product_id: product.id, quantity: 1 });
    try {
      const startedAt = performance.now();
      const replies = await storm(30, buy);
      // The first to arrive are a batch, all others the next; in halves, each half would wait after the other.
      expect(performance.now() - startedAt).toBeLessThan(6 * PATIENCE_MS);
      expect(tally(replies)).toEqual({ '503 overloaded': 30 });
      expect(replies.map(({ headers }) => headers['retry-after'])).toEqual(replies.map(() => '1'));
    } finally {
      connections.waitTimeoutMs = patience;
      open();
      await held;
    }
    expect(await stockOf(test, product.id)).toEqual({ available: 50, reserved: 0, total: 50 });
    expect((await buy()).status).toBe(201);
  });
});
