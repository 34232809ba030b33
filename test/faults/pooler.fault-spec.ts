import { Pool } from 'pg';
import { serviceClient } from '../../src/platform/database/clients';
import { DatabaseIsStandby } from '../../src/platform/errors/domain-errors';
import { installedPgBouncer, PgBouncer, roleSettings } from '../support/pgbouncer';
import { until } from '../support/race';
import { Postgres } from './support/postgres';
import { Service } from './support/service';
import { stormThrough } from './support/storm';

const describeInstalled = installedPgBouncer() ? describe : describe.skip;

describeInstalled(
  'Behind PgBouncer everything that was answered is there, and what was not happens once, after',
  () => {
    let postgres: Postgres;
    let pgbouncer: PgBouncer;
    let service: Service;
    beforeAll(async () => {
      postgres = await Postgres.start();
      await postgres.query(roleSettings(postgres.url));
      pgbouncer = await PgBouncer.before(postgres.url);
      service = await Service.start(pgbouncer, {
        DATABASE_POOLER: 'transaction',
        DATABASE_MIGRATION_URL: postgres.url,
      });
    });
    afterAll(async () => {
      await service?.end();
      await pgbouncer?.end();
      await postgres?.end();
    });

    const isReady = () => until(() => service.isReady(), 'the service is ready again', 30);

    it('an immediate stop of the database, and its return', async () => {
      await stormThrough('immediate stop behind PgBouncer', { postgres, services: [service] }, async () => {
        await postgres.stopImmediately();
        await postgres.comeBack();
        await isReady();
      });
    });

    it('kill -9 of PgBouncer, and its return', async () => {
      await stormThrough('kill -9 of PgBouncer', { postgres, services: [service] }, async (load) => {
        await pgbouncer.kill();
        await until(async () => load.outcomes.some(({ status }) => status === 503), 'somebody was refused');
        await pgbouncer.comeBack();
        await isReady();
      });
    });
  },
);

describeInstalled('A standby behind PgBouncer', () => {
  it('is given no connection until it is the primary', async () => {
    const { primary, standby } = await Postgres.startPair();
    const pgbouncer = await PgBouncer.before(standby.url);
    const client = serviceClient({ requestTimeoutMs: 15_000, databasePooler: 'transaction' });
    const pool = new Pool({ connectionString: pgbouncer.url, max: 1, pipeline: true, ...client });
    const connect = async (): Promise<void> => (await pool.connect()).release();
    try {
      await expect(connect()).rejects.toBeInstanceOf(DatabaseIsStandby);
      await standby.promote();
      await connect();
    } finally {
      await pool.end();
      await pgbouncer.end();
      await standby.end();
      await primary.end();
    }
  });
});
