import { Client } from 'pg';
import { SweepSchedule } from '../../src/inventory/reservations/sweep-schedule';
import type { Api } from '../support/api';
import {
  anOrder,
  aProduct,
  aReservation,
  dataOf,
  expectReconciled,
  letTimePass,
  overdueHolds,
  type Reservation,
} from '../support/factories';
import { logLines } from '../support/log-lines';
import { until, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const SYSTEM = 'system:reservation-expiry';

let test: TestApp;
let user: Api;
let productId: string;
afterEach(() => jest.restoreAllMocks());

/** An application that has begun to sweep. */
async function begin(settings: Record<string, string> = {}): Promise<void> {
  test = await startTestApp(settings);
  [user, productId] = [test.aUser(), (await aProduct(test)).id];
  test.app.get(SweepSchedule, { strict: false }).start();
}

async function end(): Promise<void> {
  try {
    await expectReconciled(test);
  } finally {
    await test.close();
  }
}

/** Gives the statements that were sent since it was made. */
function statements(): () => string[] {
  const query = jest.spyOn(Client.prototype, 'query');
  return () =>
    query.mock.calls.map((args) => {
      const [statement] = args as unknown as [string | { text: string }];
      return typeof statement === 'string' ? statement : statement.text;
    });
}

const isLook = (statement: string): boolean => statement.includes('"timeLeft"');
const activeOf = async (product: string): Promise<number> => {
  const [row] = await test.database.query<{ count: number }>(
    `SELECT count(*)::int FROM reservations JOIN reservation_items ON reservation_id = id
     WHERE product_id = $1 AND status = 'active'`,
    [product],
  );
  return row!.count;
};
const untilNoneIsActive = (product: string): Promise<void> =>
  until(async () => (await activeOf(product)) === 0, 'they are expired');

describe('The sweep runs when a hold ends', () => {
  beforeAll(() => begin({ RESERVATION_TTL_SECONDS: '1' }));
  afterAll(end);

  it('so that a list has an order as cancelled before anybody can miss it', async () => {
    const order = await anOrder(user, productId);
    const listed = async (status: string): Promise<string[]> =>
      dataOf(await user.get(`/api/orders?status=${status}`)).map(({ id }: { id: string }) => id);
    expect(await listed('pending')).toEqual([order.id]);
    await until(async () => (await listed('cancelled')).includes(order.id), 'it is cancelled');
    expect(await listed('pending')).toEqual([]);
    expect(dataOf(await user.get(`/api/orders/${order.id}/history`))).toMatchObject([{ actor: SYSTEM }]);
    const [row] = await test.database.query<{ late: number }>(
      `SELECT extract(epoch FROM change.created_at - expires_at)::float8 AS late
       FROM order_status_changes AS change JOIN reservations USING (order_id) WHERE order_id = $1`,
      [order.id],
    );
    expect(row!.late).toBeGreaterThanOrEqual(0);
    expect(row!.late).toBeLessThan(0.5);
  });

  it('also if that is another moment than was known, or long ago', async () => {
    const { id } = await aReservation(user, productId, { ttl_seconds: 3600 });
    await letTimePass(test, id);
    await untilNoneIsActive(productId);
  });

  it('ten times a second at most, however many end one after the other', async () => {
    const { id: product } = await aProduct(test, { initial_stock: 100 });
    const held: Reservation[] = await Promise.all(
      Array.from({ length: 100 }, () => aReservation(user, product, { ttl_seconds: 3600 })),
    );
    const runs = async (): Promise<number> => {
      const { text } = await test.anonymous.get('/metrics');
      return Number(/^holdfast_sweep_expired_reservations_count (\d+)$/m.exec(text)![1]);
    };
    const before = await runs();
    // One every 20 ms, for two seconds.
    await test.database.query(
      `UPDATE reservations SET expires_at = clock_timestamp() + number * interval '20 milliseconds'
       FROM unnest($1::uuid[]) WITH ORDINALITY AS held (id, number) WHERE reservations.id = held.id`,
      [held.map(({ id }) => id)],
    );
    await untilNoneIsActive(product);
    const [row] = await test.database.query<{ seconds: number }>(
      `SELECT extract(epoch FROM max(created_at) - min(created_at))::float8 AS seconds
       FROM stock_movements WHERE product_id = $1 AND kind = 'expire'`,
      [product],
    );
    const count = (await runs()) - before;
    expect(count).toBeGreaterThan(1);
    // Timers may be a millisecond early.
    expect(count).toBeLessThanOrEqual(1 + row!.seconds / 0.099);
  });

  it('and if none ends, only looks for the next one, once a second', async () => {
    const { id } = await aReservation(user, productId, { ttl_seconds: 3600 });
    const sent = statements();
    const started = performance.now();
    await until(async () => sent().filter(isLook).length === 3, 'it has looked three times');
    const milliseconds = performance.now() - started;
    expect(sent().filter((statement) => !isLook(statement) && statement !== 'DISCARD PLANS')).toEqual([]);
    expect(milliseconds).toBeGreaterThan(1900);
    dataOf(await user.post(`/api/reservations/${id}/cancel`));
  });
});

describe('What keeps the sweep from a hold', () => {
  beforeAll(() => begin());
  afterAll(end);

  it('keeps it from no other, and is told once and not at every run', async () => {
    const lines = logLines();
    const [{ id: poisoned }, { id: product }] = [await aProduct(test), await aProduct(test)];
    const keepReserved = (pieces: number): Promise<object[]> =>
      test.database.query('UPDATE stock_levels SET reserved = $2::int, total = available + $2 WHERE product_id = $1', [
        poisoned,
        pieces,
      ]);
    const { id } = await aReservation(user, poisoned);
    // Giving back one piece of none would make it -1.
    await keepReserved(0);
    await letTimePass(test, id);
    for (let round = 0; round < 3; round += 1) {
      await letTimePass(test, (await aReservation(user, product)).id);
      await untilNoneIsActive(product);
    }
    expect(lines.map(({ msg }) => msg)).toEqual(['could not expire an overdue reservation']);
    await keepReserved(1);
    expect(await activeOf(poisoned)).toBe(1);
    expect(await test.sweep()).toBe(1);
  });

  it('is waited for longer each time, up to a second, as long as somebody else has all that are over', async () => {
    const { id } = await aReservation(user, productId);
    await letTimePass(test, id);
    const sent = statements();
    const lock = {
      sql: 'SELECT FROM reservations WHERE id = $1 FOR UPDATE',
      values: [id],
      waiters: 0,
      // At once, 0.2, 0.4 and 0.8 seconds after each other.
      meanwhile: () => until(async () => sent().filter(isLook).length === 4, 'it has looked four times'),
    };
    const started = performance.now();
    await whileLocked(test.database, lock, async () => undefined);
    expect(performance.now() - started).toBeGreaterThan(1300);
    await untilNoneIsActive(productId);
  });

  it('is told once if it is the database, and it goes on when that is back', async () => {
    const lines = logLines();
    const { id } = await aReservation(user, productId);
    await test.database.query('ALTER TABLE reservations RENAME TO not_there');
    const sent = statements();
    await until(async () => sent().filter(isLook).length === 4, 'it has looked four times');
    await test.database.query('ALTER TABLE not_there RENAME TO reservations');
    await letTimePass(test, id);
    await untilNoneIsActive(productId);
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([['error', 'the sweep failed; it is tried again']]);
  });
});

describe('The sweep of a process that stops', () => {
  it('ends after the batch that it is at, and leaves the rest to others', async () => {
    const lines = logLines();
    test = await startTestApp();
    const { id: product } = await aProduct(test, { initial_stock: 600 });
    await overdueHolds(test, [product], 600);
    let closed: Promise<void> | undefined;
    const lock = {
      sql: 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE',
      values: [product],
      meanwhile: async () => void (closed = test.app.close()),
    };
    await whileLocked(test.database, lock, async () => test.app.get(SweepSchedule, { strict: false }).start());
    await closed;
    expect([await activeOf(product), lines]).toEqual([400, []]);
    await test.database.drop();
  });
});

describe('A schedule that is rare', () => {
  beforeAll(() => begin({ CLEANUP_CRON: '0 0 1 1 *' }));
  afterAll(end);

  it('is the only one: no end of a hold makes it sweep', async () => {
    const sent = statements();
    const { id } = await aReservation(user, productId);
    await letTimePass(test, id);
    expect(dataOf(await user.get(`/api/reservations/${id}`)).status).toBe('expired');
    expect([await activeOf(productId), sent().filter(isLook)]).toEqual([1, []]);
  });
});
