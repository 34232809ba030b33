import { DataSource } from 'typeorm';
import { PrimaryClient } from '../../src/platform/database/clients';
import { TransactionRunner } from '../../src/platform/database/transaction-runner';
import { typeormOptions } from '../../src/platform/database/typeorm-options';
import { DatabaseIsStandby } from '../../src/platform/errors/domain-errors';
import { Metrics } from '../../src/platform/metrics/metrics';
import { DatabaseProxy } from '../support/database-proxy';
import { until } from '../support/race';
import { unique } from '../support/test-app';
import { countNames, type Outcome } from './support/caller';
import { Postgres } from './support/postgres';
import { everyRoute } from './support/routes';
import { Service } from './support/service';
import { stormThrough } from './support/storm';

const REQUEST_TIMEOUT_SECONDS = 5;
/** For a machine that does other things as well. */
const SLACK_MS = 3_000;
const DEADLINE_MS = REQUEST_TIMEOUT_SECONDS * 1000 + SLACK_MS;

let primary: Postgres;
let standby: Postgres;
/** Stands where HAProxy would: the service knows the database by its address alone. */
let proxy: DatabaseProxy;
let service: Service;
beforeAll(async () => {
  ({ primary, standby } = await Postgres.startPair());
  proxy = await DatabaseProxy.before(primary.url);
  service = await Service.start(proxy, { REQUEST_TIMEOUT_SECONDS: String(REQUEST_TIMEOUT_SECONDS) });
});
afterAll(async () => {
  await service?.end();
  await proxy?.close();
  await standby?.end();
  await primary?.end();
});

describe('While its synchronous standby is away', () => {
  it('the primary answers reads, and whoever changes something is told that nobody knows, until the standby is back', async () => {
    const admin = service.as('admin');
    const create = { path: '/api/warehouses', body: { code: unique('W'), name: 'North' }, key: unique('key') };
    await standby.stopImmediately();
    const unsure = await admin.ask(create);
    const read = await admin.ask({ path: '/api/warehouses' });
    await standby.comeBack();
    expect(countNames([unsure, read])).toEqual({ '500 outcome_unknown': 1, '200': 1 });
    expect(unsure.ms).toBeLessThan(DEADLINE_MS);
    await expectLogged(unsure);

    const again = await admin.ask(create);
    expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
    const rows = await primary.query('SELECT FROM warehouses WHERE code = $1', [create.body.code]);
    expect(rows).toHaveLength(1);
  });

  async function expectLogged({ body }: Outcome): Promise<void> {
    const find = () => service.logged.find((line) => line['request_id'] === body.request_id);
    await until(async () => find() !== undefined, 'it is in the log');
    expect(find()).toMatchObject({ level: 'error', code: 'outcome_unknown', err: { message: expect.any(String) } });
  }
});

describe('A server that is a standby', () => {
  it('is none to start with, and the start says so', async () => {
    const says = /^The service ended with 1: Holdfast did not start\. DATABASE_URL: .* is a standby .*\n$/;
    await expect(Service.start(standby)).rejects.toThrow(says);
  });

  it('is known when a transaction begins there, also without its greeting', async () => {
    const extra = { pipeline: true, Client: PrimaryClient };
    const options = { ...typeormOptions(standby.url), entities: [], migrations: [], extra };
    const dataSource = await new DataSource(options).initialize();
    try {
      const transactions = new TransactionRunner(dataSource, new Metrics());
      const writing = transactions.run(({ tx }) => tx.query('DELETE FROM warehouses'));
      await expect(writing).rejects.toBeInstanceOf(DatabaseIsStandby);
    } finally {
      await dataSource.destroy();
    }
  });
});

describe('When the primary is lost and its synchronous standby becomes the primary', () => {
  it('all that was answered is there, and until then everybody is told to come again', async () => {
    const world = { postgres: standby, services: [service] as const };
    const load = await stormThrough('failover to a standby', world, async () => {
      await primary.kill();
      proxy.leadTo(standby.url);
      await expectRefusedByStandby();
      await standby.promote();
      const promotedAt = performance.now();
      await until(() => service.isReady(), 'the service is ready again');
      expect(performance.now() - promotedAt).toBeLessThan(DEADLINE_MS);
    });
    expect(load.slowestMs).toBeLessThan(DEADLINE_MS);
  });

  /** Reads too: what a standby knows may be older than what somebody was answered. */
  async function expectRefusedByStandby(): Promise<void> {
    const outcomes = await Promise.all(everyRoute(service).map(({ caller, ...request }) => caller.ask(request)));
    expect(countNames(outcomes)).toEqual({ '503 database_unavailable': outcomes.length });
    expect(outcomes.filter(({ headers }) => !/^[1-9]\d*$/.test(headers.get('retry-after') ?? ''))).toEqual([]);
    // The first to ask may still have met the end of a connection to the old primary.
    const ready = () => service.anonymous.ask({ path: '/health/ready' });
    await until(
      async () => (await ready()).body.detail?.includes('standby'),
      'it is unready because of the standby',
      5,
    );
  }
});
