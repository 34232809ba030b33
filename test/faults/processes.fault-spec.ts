import { randomUUID } from 'node:crypto';
import { until } from '../support/race';
import { unique } from '../support/test-app';
import { expectNoLeak } from './support/account';
import { countNames } from './support/caller';
import { Postgres } from './support/postgres';
import { Service } from './support/service';

const OVERDUE = 500;

let postgres: Postgres;
let services: Service[] = [];
beforeAll(async () => {
  postgres = await Postgres.start();
  // At once, on an empty database: each finds the schema that one of them has made.
  const env = { CLEANUP_CRON: '* * * * * *' };
  services = await Promise.all([0, 1, 2].map(() => Service.start(postgres, env)));
});
afterEach(async () => {
  const { body } = await services[0]!.as('admin').ask({ path: '/api/admin/reconciliation' });
  expect(body.data).toMatchObject({ ok: true, differences: [] });
  await expectNoLeak(postgres, ...services);
});
afterAll(async () => {
  await Promise.all(services.map((service) => service.end()));
  await postgres?.end();
});

async function aProduct(pieces: number): Promise<string> {
  const body = { sku: unique('SKU'), name: 'Blue mug', price: '19.90', initial_stock: pieces };
  return (await services[0]!.as('admin').ask({ path: '/api/products', body })).body.data.id;
}

describe('Three processes on one database', () => {
  it('sell 25 pieces to 25 of 240 buyers', async () => {
    const body = { product_id: await aProduct(25), quantity: 1 };
    const ask = (_: unknown, index: number) =>
      services[index % 3]!.as('user').ask({ path: '/api/reservations', body, key: randomUUID() });
    const outcomes = await Promise.all(Array.from({ length: 240 }, ask));
    expect(countNames(outcomes)).toEqual({ '201': 25, '409 insufficient_stock': 215 });
  });

  it('carry out one key once that all of them are sent at the same moment, for every kind of command', async () => {
    const [productId, userId] = [await aProduct(1000), randomUUID()];
    const line = { product_id: productId, quantity: 1 };
    for (let round = 0; round < 20; round += 1) {
      const key = randomUUID();
      const toAll = (request: { path: string; body?: object; method?: string }, role: 'user' | 'admin' = 'user') =>
        Promise.all(services.map((service) => service.as(role, userId).ask({ ...request, key })));
      const held = await toAll({ path: '/api/reservations', body: line });
      const done = [
        held,
        await toAll({ path: '/api/orders', body: { items: [line] } }),
        await toAll({ path: `/api/reservations/${held[0]!.body.data.id}/commit`, method: 'POST' }),
        await toAll({ path: `/api/products/${productId}/stock-adjustments`, body: { delta: 1, reason: 'x' } }, 'admin'),
      ];
      for (const outcomes of done) {
        expect(countNames(outcomes)).toEqual({ '201': 3 });
        expect(new Set(outcomes.map(({ body }) => JSON.stringify(body.data))).size).toBe(1);
        expect(outcomes.filter(({ headers }) => headers.get('idempotent-replayed') !== 'true')).toHaveLength(1);
      }
    }
    const rows = await postgres.query<{ kind: string; count: number }>(
      `SELECT kind, count(*)::int FROM stock_movements WHERE product_id = $1 GROUP BY kind ORDER BY kind`,
      [productId],
    );
    expect(Object.fromEntries(rows.map(({ kind, count }) => [kind, count]))).toEqual({
      ...{ initial: 1, reserve: 40, commit: 20, adjustment: 20 },
    });
  });

  it('sweep every second side by side, and each of hundreds of holds ends once', async () => {
    const productId = await aProduct(OVERDUE);
    const body = { product_id: productId, quantity: 1, ttl_seconds: 3600 };
    const buyers = services.map((service) => service.as('user'));
    const held = await Promise.all(
      Array.from({ length: OVERDUE }, (_, index) => buyers[index % 3]!.ask({ path: '/api/reservations', body })),
    );
    expect(countNames(held)).toEqual({ '201': OVERDUE });
    const ids = held.map((outcome) => outcome.body.data.id);
    await postgres.session(async (client) => {
      // So that all of them have chosen what to expire before the first one can.
      await client.query('BEGIN');
      await client.query('SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE', [productId]);
      await postgres.query('UPDATE reservations SET expires_at = clock_timestamp() WHERE id = ANY($1)', [ids]);
      const waiting = async () => (await postgres.sessions()).filter(({ wait }) => wait === 'Lock').length;
      await until(async () => (await waiting()) === services.length, 'all of them are at work');
      await client.query('COMMIT');
    });
    const active = `SELECT FROM reservations WHERE id = ANY($1) AND status = 'active'`;
    await until(async () => (await postgres.query(active, [ids])).length === 0, 'all of them are expired', 20);
    const ends = `
      SELECT count(*)::int, count(DISTINCT reservation_id)::int AS distinct FROM stock_movements
      WHERE reservation_id = ANY($1) AND kind = 'expire'
      UNION ALL SELECT count(*)::int, count(DISTINCT object_id)::int FROM audit_logs
      WHERE object_id = ANY($1) AND action = 'reservation.expired'`;
    const once = { count: OVERDUE, distinct: OVERDUE };
    expect(await postgres.query(ends, [ids])).toEqual([once, once]);
  });
});
