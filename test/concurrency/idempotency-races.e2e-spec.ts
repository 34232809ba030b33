import { randomUUID } from 'node:crypto';
import { type Api, type Reply } from '../support/api';
import { aProduct, aReservation, dataOf, expectReconciled, stockOf } from '../support/factories';
import {
  type Attempt,
  inLine,
  inLineAt,
  PLACES,
  queuedAt,
  startInLine,
  storm,
  tally,
  until,
  untilWaiting,
  whileLocked,
} from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const LOCK_LEVELS = 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE';
const MAIN = '00000000-0000-7000-8000-000000000001';

const withKey = (key: string): { 'Idempotency-Key': string } => ({ 'Idempotency-Key': key });
const reserve = (user: Api, productId: string, key: string, quantity = 1): Promise<Reply> =>
  user.post('/api/reservations', { product_id: productId, quantity }, withKey(key));

const isReplay = ({ headers }: Reply): boolean => headers['idempotent-replayed'] === 'true';

/** One did the work; each of the others got its answer, or was told to wait. Gives the answers of the successes. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the API answered
function expectOneEffect(replies: readonly Reply[]): any {
  const successes = replies.filter(({ status }) => status === 201);
  const waiting = replies.filter(({ status }) => status !== 201);
  expect(successes.filter((reply) => !isReplay(reply))).toHaveLength(1);
  expect(waiting.map(({ status, body, headers }) => [status, body.code, headers['retry-after']])).toEqual(
    waiting.map(() => [409, 'idempotency_in_progress', '1']),
  );
  const [first] = successes;
  for (const reply of successes) {
    expect(reply.body.data).toEqual(first!.body.data);
    expect(reply.headers['location']).toBe(first!.headers['location']);
    expect(reply.headers['x-request-id']).toBe(reply.body.request_id);
  }
  expect(new Set(replies.map(({ body }) => body.request_id)).size).toBe(replies.length);
  return first!.body.data;
}

describe('One Idempotency-Key, many requests at once', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ DATABASE_POOL_SIZE: '20' });
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  it('makes one reservation of 50 requests', async () => {
    const [product, user, key] = [await aProduct(test), test.aUser(), randomUUID()];
    const { id } = expectOneEffect(await storm(50, () => reserve(user, product.id, key)));
    expect(await test.database.query('SELECT id FROM reservations WHERE user_id = $1', [user.userId])).toEqual([
      { id },
    ]);
    expect(await stockOf(test, product.id)).toEqual({ available: 9, reserved: 1, total: 10 });
  });

  it('makes one order of 50 requests', async () => {
    const [product, user, key] = [await aProduct(test), test.aUser(), randomUUID()];
    const body = { items: [{ product_id: product.id, quantity: 2 }] };
    const { id } = expectOneEffect(await storm(50, () => user.post('/api/orders', body, withKey(key))));
    expect(await test.database.query('SELECT id FROM orders WHERE user_id = $1', [user.userId])).toEqual([{ id }]);
    expect(await stockOf(test, product.id)).toEqual({ available: 8, reserved: 2, total: 10 });
  });

  it('commits once in 50 requests, and answers each that repeats it with the order', async () => {
    const [product, user, key] = [await aProduct(test), test.aUser(), randomUUID()];
    const { id } = await aReservation(user, product.id);
    const order = expectOneEffect(
      await storm(50, () => user.post(`/api/reservations/${id}/commit`, undefined, withKey(key))),
    );
    expect(order).toMatchObject({ status: 'confirmed', reservation_id: id });
    expect(await stockOf(test, product.id)).toEqual({ available: 9, reserved: 0, total: 9 });
  });

  it('adjusts the stock once in 50 requests', async () => {
    const [product, key] = [await aProduct(test), randomUUID()];
    const body = { delta: 5, reason: 'delivery' };
    const level = expectOneEffect(
      await storm(50, () => test.admin.post(`/api/products/${product.id}/stock-adjustments`, body, withKey(key))),
    );
    expect(level).toMatchObject({ available_stock: 15, warehouse_id: MAIN });
    expect(await stockOf(test, product.id)).toEqual({ available: 15, reserved: 0, total: 15 });
  });

  it('works for each of the callers and paths that happen to use one key', async () => {
    const [product, key] = [await aProduct(test, { initial_stock: 30 }), randomUUID()];
    const replies = await storm(20, (index) =>
      index % 2
        ? reserve(test.aUser(), product.id, key)
        : test.aUser().post('/api/orders', { items: [{ product_id: product.id, quantity: 1 }] }, withKey(key)),
    );
    expect(tally(replies)).toEqual({ '201': 20 });
    expect(replies.filter(isReplay)).toEqual([]);
    expect(await stockOf(test, product.id)).toEqual({ available: 10, reserved: 20, total: 30 });
  });

  it('carries out one of two different bodies, and refuses the other with 422', async () => {
    const [product, user, key] = [await aProduct(test), test.aUser(), randomUUID()];
    const replies = await storm(40, (index) => reserve(user, product.id, key, 1 + (index % 2)));
    const winner = replies.findIndex((reply) => reply.status === 201 && !isReplay(reply)) % 2;
    const { items } = expectOneEffect(replies.filter((_, index) => index % 2 === winner));
    expect(items[0].quantity).toBe(1 + winner);
    const others = tally(replies.filter((_, index) => index % 2 !== winner));
    expect((others['422 idempotency_key_reused'] ?? 0) + (others['409 idempotency_in_progress'] ?? 0)).toBe(20);
    expect(await stockOf(test, product.id)).toMatchObject({ reserved: 1 + winner });
  });

  it('works once more when the key is older than a day, and only once', async () => {
    const [product, user, key] = [await aProduct(test), test.aUser(), randomUUID()];
    const before = dataOf(await reserve(user, product.id, key));
    await test.database.query(
      `UPDATE idempotency_keys SET created_at = created_at - interval '25 hours' WHERE key = $1`,
      [key],
    );
    const after = expectOneEffect(await storm(20, () => reserve(user, product.id, key)));
    expect(after.id).not.toBe(before.id);
    expect(await stockOf(test, product.id)).toMatchObject({ reserved: 2 });
  });

  it('keeps no key of what failed: each of 20 hears the truth, and the key is good when stock is back', async () => {
    const [product, user, key] = [await aProduct(test, { initial_stock: 0 }), test.aUser(), randomUUID()];
    expect(tally(await storm(20, () => reserve(user, product.id, key)))).toEqual({ '409 insufficient_stock': 20 });
    dataOf(await test.admin.post(`/api/products/${product.id}/stock-adjustments`, { delta: 1, reason: 'delivery' }));
    expectOneEffect(await storm(20, () => reserve(user, product.id, key)));
  });
});

describe('Two requests with one Idempotency-Key, in a known order', () => {
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

  const queued = (productId: string, attempts: Attempt<Reply>[]): Promise<Reply[]> =>
    inLine(test.database, { sql: LOCK_LEVELS, values: [productId] }, attempts);

  /** The first takes the key and waits for the level; the second waits for its batch, for the first's, or for the key. */
  describe.each(Object.entries(PLACES))('%s', (_, place) => {
    it('answers the second with what the first did', async () => {
      const [product, user, key] = [await aProduct(test), test.aUser(), randomUUID()];
      const ask = ({ url }: TestApp): Promise<Reply> => reserve(user.at(url), product.id, key);
      const replies = await inLineAt(place, [test, twin], product.id, [ask, ask]);
      expect(replies.map(({ status }) => status)).toEqual([201, 201]);
      expect(replies.map(isReplay)).toEqual([false, true]);
      expect(replies[1]!.body.data).toEqual(replies[0]!.body.data);
      expect(await stockOf(test, product.id)).toMatchObject({ reserved: place.ahead + 1 });
    });

    it('refuses a second one with another body, once the first is done', async () => {
      const [product, user, key] = [await aProduct(test), test.aUser(), randomUUID()];
      const replies = await inLineAt(place, [test, twin], product.id, [
        ({ url }) => reserve(user.at(url), product.id, key),
        ({ url }) => reserve(user.at(url), product.id, key, 2),
      ]);
      expect(tally(replies)).toEqual({ '201': 1, '422 idempotency_key_reused': 1 });
      expect(replies[0]!.status).toBe(201);
      expect(await stockOf(test, product.id)).toMatchObject({ reserved: place.ahead + 1 });
    });
  });

  /** The second did the work, and its answer is the one that is kept. */
  async function expectKept(second: Reply, again: () => Promise<Reply>): Promise<void> {
    expect([second.status, isReplay(second)]).toEqual([201, false]);
    const repeated = await again();
    expect([repeated.status, isReplay(repeated), repeated.body.data]).toEqual([201, true, second.body.data]);
  }

  it.each(['one process', 'two processes'])(
    'lets the second of %s do the work when the first was refused',
    async (place) => {
      const [product, user, key] = [await aProduct(test, { initial_stock: 2 }), test.aUser(), randomUUID()];
      const takeAway = { delta: -1, reason: 'broken' };
      const second = (process: TestApp) => (): Promise<Reply> => reserve(user.at(process.url), product.id, key);
      // There are two when the first looks, and one when it has the lock.
      const replies = await queued(product.id, [
        () => test.admin.post(`/api/products/${product.id}/stock-adjustments`, takeAway),
        () => reserve(user, product.id, key, 2),
        place === 'one process' ? queuedAt(test, second(test)) : second(twin),
      ]);
      expect(tally(replies.slice(0, 2))).toEqual({ '201': 1, '409 insufficient_stock': 1 });
      await expectKept(replies[2]!, second(twin));
      expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 1, total: 1 });
    },
  );

  it('lets the second do the work when the first was refused in the same batch', async () => {
    const [product, user, key] = [await aProduct(test, { initial_stock: 3 }), test.aUser(), randomUUID()];
    const second = (): Promise<Reply> => reserve(user, product.id, key);
    const replies = await inLineAt(PLACES['in one batch'], [test, twin], product.id, [
      () => reserve(test.aUser(), product.id, randomUUID()),
      () => reserve(user, product.id, key, 2),
      second,
    ]);
    expect(tally(replies.slice(0, 2))).toEqual({ '201': 1, '409 insufficient_stock': 1 });
    await expectKept(replies[2]!, second);
    expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 3, total: 3 });
  });

  it.each(['in two batches', 'in two processes'] as const)(
    'lets one of those who wait %s do the work when the connection of the first is cut',
    async (place) => {
      const [product, user, key] = [await aProduct(test), test.aUser(), randomUUID()];
      const ask = ({ url }: TestApp): Promise<Reply> => reserve(user.at(url), product.id, key);
      const waiters = PLACES[place].line([ask, ask, ask, ask], [test, twin]);
      const cut = {
        sql: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM stock_levels%FOR UPDATE%'`,
      };
      const lock = { sql: LOCK_LEVELS, values: [product.id], waiters, meanwhile: cut };
      const [first, ...others] = await whileLocked(test.database, lock, () => startInLine(test.database, waiters));
      expect(others.map(({ status }) => status)).toEqual([201, 201, 201]);
      // Its process may have tried it again: then it has the answer of the others, or they have its.
      if (first!.status === 503) {
        expect(first!.body.code).toBe('database_unavailable');
        expectOneEffect(others);
      } else {
        expectOneEffect([first!, ...others]);
      }
      expect(await stockOf(test, product.id)).toMatchObject({ reserved: 1 });
    },
  );

  it('tells the second to come back when the first, at another process, takes longer than it is ready to wait', async () => {
    const [one, other] = [await aProduct(test), await aProduct(test)];
    const [user, key] = [test.aUser(), randomUUID()];
    const body = { items: [one, other].map(({ id }) => ({ product_id: id, quantity: 1 })) };
    const ask = ({ url }: TestApp): Promise<Reply> => user.at(url).post('/api/reservations', body, withKey(key));
    let second: Promise<Reply> | undefined;
    const secondHasWaited = async (): Promise<boolean> => {
      const sql = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND query LIKE '%INSERT INTO idempotency_keys%' AND clock_timestamp() - query_start > interval '1.5 seconds'`;
      return (await test.database.query(sql)).length > 0;
    };
    // No single wait for a lock may last as long as the first has to: so it waits for one level, and then for the other.
    const untilSecondIsAnswered = async (): Promise<void> => {
      await until(async () => second !== undefined, 'the second has started');
      await second;
    };
    const first = await whileLocked(
      test.database,
      { sql: LOCK_LEVELS, values: [other.id], meanwhile: untilSecondIsAnswered },
      () => {
        const held = {
          sql: LOCK_LEVELS,
          values: [one.id],
          waiters: 2,
          meanwhile: () => until(secondHasWaited, 'the second has waited'),
        };
        return whileLocked(test.database, held, async () => {
          const running = ask(test);
          await untilWaiting(test.database, 1);
          second = ask(twin);
          return running;
        });
      },
    );
    expect(await second).toMatchObject({
      status: 409,
      body: { code: 'idempotency_in_progress' },
      headers: { 'retry-after': '1' },
    });
    expect(first.status).toBe(201);
    const again = await ask(twin);
    expect([again.status, isReplay(again), again.body.data]).toEqual([201, true, first.body.data]);
    expect(await stockOf(test, other.id)).toMatchObject({ reserved: 1 });
  });
});
