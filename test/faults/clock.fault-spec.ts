import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { until } from '../support/race';
import { unique } from '../support/test-app';
import { Caller } from './support/caller';
import { Postgres } from './support/postgres';
import { Service } from './support/service';

const HOUR_MS = 3_600_000;
const SHIFTED = ['--require', join(__dirname, 'support', 'shifted-clock.js')];
const CREDENTIALS = { email: 'ada@example.com', password: 'correct horse battery' };

let postgres: Postgres;
let right: Service;
let ahead: Service;
let behind: Service;
let productId: string;
beforeAll(async () => {
  postgres = await Postgres.start();
  // None of them sweeps while this runs: what ends a hold is its moment.
  const env = { CLEANUP_CRON: '0 0 0 1 1 *', JWT_TTL_SECONDS: '3000' };
  right = await Service.start(postgres, env);
  ahead = await Service.start(postgres, { ...env, CLOCK_SHIFT_MS: String(HOUR_MS) }, SHIFTED);
  behind = await Service.start(postgres, { ...env, CLOCK_SHIFT_MS: String(-HOUR_MS) }, SHIFTED);
  const body = { sku: unique('SKU'), name: 'Blue mug', price: '19.90', initial_stock: 100 };
  productId = (await right.as('admin').ask({ path: '/api/products', body })).body.data.id;
  await right.anonymous.ask({ path: '/api/auth/register', body: CREDENTIALS });
});
afterAll(async () => {
  await Promise.all([right, ahead, behind].map((service) => service?.end()));
  await postgres?.end();
});

/** A user who has logged in there, by that process's clock. */
async function userAt(service: Service): Promise<(at: Service) => Caller> {
  const { body } = await service.anonymous.ask({ path: '/api/auth/login', body: CREDENTIALS });
  return (at) => new Caller(() => at.url, body.data.access_token);
}

const hold = (caller: Caller, ttl_seconds: number) =>
  caller.ask({
    path: '/api/reservations',
    body: { product_id: productId, quantity: 1, ttl_seconds },
    key: randomUUID(),
  });

const isOver = async (id: string): Promise<boolean> =>
  (await postgres.query('SELECT FROM reservations WHERE id = $1 AND expires_at <= clock_timestamp()', [id])).length > 0;

describe.each([
  ['an hour ahead', () => ahead],
  ['an hour behind', () => behind],
])('A process whose clock is %s', (_, shifted) => {
  it('holds until the moment that the database has, and not a moment longer', async () => {
    const caller = (await userAt(shifted()))(shifted());
    const [long, short] = [(await hold(caller, 600)).body.data, (await hold(caller, 1)).body.data];
    const seconds = `SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 AS left FROM reservations WHERE id = $1`;
    const [row] = await postgres.query<{ left: number }>(seconds, [long.id]);
    expect(row!.left).toBeGreaterThan(560);
    expect(row!.left).toBeLessThanOrEqual(600);
    await until(() => isOver(short.id), 'the short hold is over');
    const statusOf = async ({ id }: { id: string }) =>
      (await caller.ask({ path: `/api/reservations/${id}` })).body.data.status;
    expect([await statusOf(long), await statusOf(short)]).toEqual(['active', 'expired']);
    const commit = ({ id }: { id: string }) => caller.ask({ path: `/api/reservations/${id}/commit`, method: 'POST' });
    expect((await commit(short)).body).toMatchObject({ status: 409, reservation_status: 'expired' });
    expect((await commit(long)).status).toBe(201);
  });

  it('writes down when things happened by the clock of the database', async () => {
    const caller = (await userAt(shifted()))(shifted());
    const { id } = (await hold(caller, 600)).body.data;
    const [row] = await postgres.query<{ age: number }>(
      `SELECT max(abs(extract(epoch FROM clock_timestamp() - at)))::float8 AS age FROM (
         SELECT created_at AS at FROM reservations WHERE id = $1
         UNION ALL SELECT created_at FROM stock_movements WHERE reservation_id = $1
         UNION ALL SELECT created_at FROM audit_logs WHERE object_id = $1) AS times`,
      [id],
    );
    expect(row!.age).toBeLessThan(60);
  });
});

describe('A token, which lasts for fifty minutes by the clock of whoever looks at it', () => {
  const isTaken = async (caller: Caller) => (await caller.ask({ path: '/api/auth/me' })).status === 200;

  it('is good where it was made, and over at once an hour ahead of that', async () => {
    const [fromRight, fromAhead, fromBehind] = [await userAt(right), await userAt(ahead), await userAt(behind)];
    expect(await Promise.all([right, ahead, behind].map((at) => isTaken(fromRight(at))))).toEqual([true, false, true]);
    expect(await Promise.all([right, ahead, behind].map((at) => isTaken(fromAhead(at))))).toEqual([true, true, true]);
    expect(await Promise.all([right, ahead, behind].map((at) => isTaken(fromBehind(at))))).toEqual([
      false,
      false,
      true,
    ]);
  });
});
