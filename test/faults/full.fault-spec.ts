import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { until } from '../support/race';
import { unique } from '../support/test-app';
import { expectNoLeak } from './support/account';
import { countNames, type Outcome } from './support/caller';
import { Postgres } from './support/postgres';
import { POOL_SIZE, Service } from './support/service';

const REQUEST_TIMEOUT_SECONDS = 5;
const DEADLINE_MS = REQUEST_TIMEOUT_SECONDS * 1000 + 3_000;
const MOST_SESSIONS = 20;
const PIECES = 10;
const WRITERS = POOL_SIZE * 4;

let postgres: Postgres;
let service: Service;
let productId: string;
beforeAll(async () => {
  postgres = await Postgres.start({ max_connections: String(MOST_SESSIONS) });
  // By the schedule alone, which is rare: a sweep that looks each second would open a session as soon as one has ended.
  const settings = { REQUEST_TIMEOUT_SECONDS: String(REQUEST_TIMEOUT_SECONDS), CLEANUP_CRON: '0 0 0 1 1 *' };
  service = await Service.start(postgres, settings);
  const body = { sku: unique('SKU'), name: 'Blue mug', price: '19.90', initial_stock: PIECES };
  productId = (await service.as('admin').ask({ path: '/api/products', body })).body.data.id;
});
afterAll(async () => {
  await service?.end();
  await postgres?.end();
});

const ADMIN = randomUUID();
const END_SESSIONS = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'holdfast%'`;

/** One piece more; no other request shares its transaction. */
const adjust = (key: string): Promise<Outcome> => {
  const path = `/api/products/${productId}/stock-adjustments`;
  return service.as('admin', ADMIN).ask({ path, key, body: { delta: 1, reason: 'delivery' } });
};

const pieces = async (): Promise<number> =>
  (await postgres.query<{ total: number }>('SELECT total FROM stock_levels WHERE product_id = $1', [productId]))[0]!
    .total;

function expectRefusedInTime(outcomes: readonly Outcome[]): void {
  // Who got a connection late is cut off at his deadline while he waits for the lock: what he hears is the other code.
  const { '503 overloaded': busy, '503 database_unavailable': _, ...others } = countNames(outcomes);
  expect(others).toEqual({});
  expect(busy).toBeGreaterThan(0);
  expect(outcomes.filter(({ headers }) => !/^[1-9]\d*$/.test(headers.get('retry-after') ?? ''))).toEqual([]);
  expect(Math.max(...outcomes.map(({ ms }) => ms))).toBeLessThan(DEADLINE_MS);
}

describe('When all connections of the pool wait for locks', () => {
  it('everybody is told to come back before his deadline, nothing was changed, and it serves when they are free', async () => {
    const keys = Array.from({ length: WRITERS }, () => randomUUID());
    await postgres.session(async (client) => {
      await client.query('BEGIN');
      await client.query('SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE', [productId]);
      const writing = Promise.all(keys.map(adjust));
      const waiting = async (): Promise<number> =>
        (await postgres.sessions()).filter(({ wait }) => wait === 'Lock').length;
      await until(async () => (await waiting()) === POOL_SIZE, 'the whole pool waits');
      // It is busy, not ill.
      expect(await service.isReady()).toBe(true);
      expectRefusedInTime(await writing);
      await client.query('ROLLBACK');
    });
    expect(await pieces()).toBe(PIECES);
    expect(countNames(await Promise.all(keys.map(adjust)))).toEqual({ '201': WRITERS });
    expect(await pieces()).toBe(PIECES + WRITERS);
    await expectNoLeak(postgres, service);
  });
});

describe('When others have all connections of the server', () => {
  it('everybody is told to come back, and it serves when they are free', async () => {
    await postgres.endSessions();
    const others: Client[] = [];
    try {
      for (let ended = 1; ended > 0;) {
        while (await takeOne(others)) {
          // Until there is none left.
        }
        // A job of the service may have opened one meanwhile.
        ended = (await others[0]!.query(END_SESSIONS)).rowCount ?? 0;
      }
      const asked = Array.from({ length: POOL_SIZE * 2 }, () => service.as('user').ask({ path: '/api/orders' }));
      expectRefusedInTime(await Promise.all(asked));
      expect(await service.isReady()).toBe(false);
    } finally {
      await Promise.all(others.map((client) => client.end()));
    }
    await until(() => service.isReady(), 'the service is ready again');
    await expectNoLeak(postgres, service);
  });

  async function takeOne(others: Client[]): Promise<boolean> {
    const client = new Client(postgres.url);
    const isMine = await client.connect().then(
      () => true,
      () => false,
    );
    if (isMine) {
      others.push(client);
    }
    return isMine;
  }
});
