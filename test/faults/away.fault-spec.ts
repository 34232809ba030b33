import { until } from '../support/race';
import { expectNoLeak } from './support/account';
import { nameOf, type Outcome } from './support/caller';
import { Postgres } from './support/postgres';
import { everyRoute } from './support/routes';
import { POOL_SIZE, Service } from './support/service';
import { stormThrough } from './support/storm';

const REQUEST_TIMEOUT_SECONDS = 5;
/** For a machine that does other things as well. */
const SLACK_MS = 3_000;
const DEADLINE_MS = REQUEST_TIMEOUT_SECONDS * 1000 + SLACK_MS;
const CONNECT_MS = 2_000 + SLACK_MS;

let postgres: Postgres;
let service: Service;
beforeAll(async () => {
  postgres = await Postgres.start();
  service = await Service.start(postgres, { REQUEST_TIMEOUT_SECONDS: String(REQUEST_TIMEOUT_SECONDS) });
});
afterAll(async () => {
  await service?.end();
  await postgres?.end();
});

/** Every one is refused in this time, may come again, and says nothing of the inside. */
function expectRefused(outcomes: readonly Outcome[], withinMs: number): void {
  const secrets = [...new URL(postgres.url).password.matchAll(/.{8}/g)].map(([part]) => part);
  for (const { status, body, headers, ms } of outcomes) {
    expect([body.instance, status, body.code]).toEqual([body.instance, 503, 'database_unavailable']);
    expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
    expect(ms).toBeLessThan(withinMs);
    expect(secrets.filter((secret) => JSON.stringify(body).includes(secret))).toEqual([]);
  }
}

const askEveryRoute = (): Promise<Outcome[]> =>
  Promise.all(everyRoute(service).map(({ caller, ...request }) => caller.ask(request)));

async function expectAlive(): Promise<void> {
  const { status, ms } = await service.anonymous.ask({ path: '/health/live' });
  expect(status).toBe(200);
  expect(ms).toBeLessThan(SLACK_MS);
}

/** The log has the cause that the answer keeps to itself, under the id that the caller has. */
async function expectCausesLogged(outcomes: readonly Outcome[]): Promise<void> {
  const causes = () => new Map(service.logged.map((line) => [line['request_id'], line]));
  const isLogged = async () => outcomes.every(({ body }) => causes().has(body.request_id));
  await until(isLogged, 'every refusal is in the log');
  for (const { body } of outcomes) {
    expect(causes().get(body.request_id)).toMatchObject({
      ...{ level: 'warn', code: 'database_unavailable', msg: 'database failed' },
      err: { message: expect.stringMatching(/./) },
    });
  }
}

describe('Without its database the service answers every kind of route', () => {
  it('at once when nobody listens there, and serves again when somebody does', async () => {
    await postgres.stopImmediately();
    const refused = await askEveryRoute();
    expectRefused(refused, CONNECT_MS);
    await expectAlive();
    await expectCausesLogged(refused);
    await postgres.comeBack();
    await until(() => service.isReady(), 'the service is ready again');
    await expectNoLeak(postgres, service);
  });

  it('after two seconds when the server lets nobody in, however many wait for a connection', async () => {
    await postgres.endSessions();
    await postgres.freeze();
    try {
      const asked = askEveryRoute();
      await expectAlive();
      const refused = await asked;
      expect(refused.length).toBeGreaterThan(4 * POOL_SIZE);
      expectRefused(refused, CONNECT_MS);
      await expectCausesLogged(refused);
    } finally {
      await postgres.thaw();
    }
    await until(() => service.isReady(), 'the service is ready again');
    await expectNoLeak(postgres, service);
  });
});

describe('A server that freezes', () => {
  it('holds up no request past its deadline, and takes no connection from the pool for good', async () => {
    const load = await stormThrough('frozen database', { postgres, services: [service] }, async ({ commands }) => {
      await postgres.freeze();
      const open = commands.filter(({ tries }) => tries.length === 0);
      try {
        await expectAlive();
        await expectUnready();
        await expectOthersRefused();
        // As long as one of them waits, it stays frozen.
        await until(async () => open.every(({ tries }) => tries.length > 0), 'nobody waits any more', 30);
        expect(open.length).toBeGreaterThan(0);
      } finally {
        await postgres.thaw();
      }
    });
    const frozen = load.outcomes.filter(({ ms }) => ms > DEADLINE_MS);
    expect(frozen.map(nameOf)).toEqual([]);
    expect(load.slowestMs).toBeGreaterThan(2_000);
  });

  /** With all connections of the pool in use by those who wait for an answer. */
  async function expectOthersRefused(): Promise<void> {
    const ask = () => service.as('user').ask({ path: '/api/orders' });
    const others = await Promise.all(Array.from({ length: 4 * POOL_SIZE }, ask));
    expect(others.map(({ status }) => status)).toEqual(others.map(() => 503));
    expect(Math.max(...others.map(({ ms }) => ms))).toBeLessThan(DEADLINE_MS);
  }

  async function expectUnready(): Promise<void> {
    const { status, ms } = await service.anonymous.ask({ path: '/health/ready' });
    expect(status).toBe(503);
    expect(ms).toBeLessThan(CONNECT_MS);
  }
});
