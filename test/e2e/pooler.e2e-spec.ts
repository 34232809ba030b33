import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { checkSessions } from '../../src/platform/database/start-checks';
import { migrate } from '../../src/platform/database/migrate';
import { Api, type Reply } from '../support/api';
import { createDatabase, type TestDatabase } from '../support/database';
import { aProduct, aReservation, expectReconciled, stockOf } from '../support/factories';
import { installedPgBouncer, PgBouncer, roleSettings, SESSIONS } from '../support/pgbouncer';
import { Build, type Running } from '../support/program';
import { inTurns, storm, tally, until } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';
import { operationsOf, Walk } from '../support/walk';

const IGNORED = 'statement_timeout, lock_timeout, options';

const [major = 0, minor = 0] = installedPgBouncer() ?? [];
const describeInstalled = major > 0 ? describe : describe.skip;
const canKeepNames = major > 1 || minor >= 21;
const NAMES: Record<string, number>[] = canKeepNames
  ? [{ max_prepared_statements: 200 }, { max_prepared_statements: 0 }]
  : [{}];
const POOLED = { DATABASE_POOLER: 'transaction', DATABASE_POOL_SIZE: '12' };

describeInstalled.each(NAMES)(`Behind PgBouncer ${major}.${minor} in transaction mode, with %j,`, (settings) => {
  let database: TestDatabase;
  let pgbouncer: PgBouncer;
  let test: TestApp;
  beforeAll(async () => {
    database = await createDatabase();
    await database.query(roleSettings(database.url));
    pgbouncer = await PgBouncer.before(database.url, settings);
    const address = { DATABASE_MIGRATION_URL: database.url };
    test = await startTestApp({ ...POOLED, ...address }, { ...database, url: pgbouncer.url });
  });
  afterEach(() => expectReconciled(test));
  afterAll(async () => {
    await test?.app.close();
    await pgbouncer?.end();
    await database?.drop();
  });

  it('every operation of the OpenAPI document succeeds', async () => {
    const walk = new Walk(test);
    await walk.everything();
    const operations = await operationsOf(test);
    expect(operations.length).toBeGreaterThan(20);
    expect(operations.filter((operation) => !walk.hasDone(operation))).toEqual([]);
  });

  it('5 pieces go to 5 of 50 buyers, and of whole sales at once none is lost', async () => {
    const [scarce, plenty] = [await aProduct(test, { initial_stock: 5 }), await aProduct(test, { initial_stock: 500 })];
    const sell = (index: number): Promise<Reply[]> => {
      const buyer = test.aUser();
      return inTurns(4, async () => {
        const { id } = await aReservation(buyer, plenty.id);
        return buyer.post(`/api/reservations/${id}/${index % 2 ? 'commit' : 'cancel'}`);
      });
    };
    const [bought, sold] = await Promise.all([
      storm(50, () => test.aUser().post('/api/reservations', { product_id: scarce.id, quantity: 1 })),
      storm(40, sell),
    ]);
    expect(tally(bought)).toEqual({ '201': 5, '409 insufficient_stock': 45 });
    expect(tally(sold.flat())).toEqual({ '200': 80, '201': 80 });
    expect(await stockOf(test, plenty.id)).toEqual({ available: 420, reserved: 0, total: 420 });
    expect(await stockOf(test, scarce.id)).toEqual({ available: 0, reserved: 5, total: 5 });
  });

  it('its sessions are few, and keep named statements only if PgBouncer does', async () => {
    const clients = Array.from({ length: SESSIONS }, () => new Client(pgbouncer.url));
    try {
      const names: string[] = [];
      // Each begins a transaction, so that each has a session.
      for (const client of clients) {
        await client.connect();
        await client.query('BEGIN');
        const { rows } = await client.query<{ name: string }>('SELECT name FROM pg_prepared_statements');
        names.push(...rows.map(({ name }) => name));
      }
      expect(names.filter((name) => !name.startsWith('PGBOUNCER_'))).toEqual([]);
      expect(names.length > 0).toBe(settings['max_prepared_statements'] === 200);
    } finally {
      await Promise.all(clients.map((client) => client.end()));
    }
  });

  it('who hangs up during a long read has it cancelled', async () => {
    const lock = await database.pool.connect();
    const waiting = async (): Promise<number> =>
      (await database.query(`SELECT FROM pg_locks WHERE NOT granted AND relation = 'stock_levels'::regclass`)).length;
    try {
      await lock.query('BEGIN; SET TRANSACTION READ WRITE; LOCK TABLE stock_levels');
      const hangUp = new AbortController();
      const headers = { Authorization: `Bearer ${test.admin.token}` };
      const asked = fetch(`${test.url}/api/admin/reconciliation`, { headers, signal: hangUp.signal });
      await until(async () => (await waiting()) > 0, 'the read has begun');
      hangUp.abort();
      await expect(asked).rejects.toThrow('aborted');
      await until(async () => (await waiting()) === 0, 'it is cancelled', 2);
    } finally {
      await lock.query('ROLLBACK');
      lock.release();
    }
  });
});

describeInstalled('A start behind PgBouncer', () => {
  let build: Build;
  let folder: string;
  let database: TestDatabase;
  /** One that refuses what it cannot set, which is how it is installed, and one that ignores that. */
  let strict: PgBouncer;
  let lenient: PgBouncer;
  beforeAll(async () => {
    build = await Build.make();
    folder = await mkdtemp(join(tmpdir(), 'holdfast-pooler-'));
    database = await createDatabase();
    strict = await PgBouncer.before(database.url);
    lenient = await PgBouncer.before(database.url, { ignore_startup_parameters: IGNORED });
  });
  afterAll(async () => {
    await Promise.all(runs.map((run) => run.end('SIGKILL')));
    await Promise.all([strict, lenient].map((pgbouncer) => pgbouncer?.end()));
    await database?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const runs: Running[] = [];
  const start = (env: Record<string, string>): Running => {
    const run = build.start('main.js', [], { PORT: '0', DATA_DIR: join(folder, 'data'), ...env }, folder);
    runs.push(run);
    return run;
  };
  const pooled = (url: string): Record<string, string> => ({
    ...{ DATABASE_URL: url, DATABASE_POOLER: 'transaction', DATABASE_MIGRATION_URL: database.url },
  });

  it('of which it was not told points to the page about it', async () => {
    await expect(checkSessions(strict.url, { requestTimeoutMs: 15_000 })).rejects.toThrow(
      /^DATABASE_URL: cannot connect to \S+: unsupported startup parameter.*docs\/pooler\.md$/,
    );
  });

  it('that ignores what it should set is refused', async () => {
    await expect(checkSessions(lenient.url, { requestTimeoutMs: 15_000 })).rejects.toThrow(
      'DATABASE_URL: its sessions have default_transaction_read_only = off, jit = on, lock_timeout = 0, statement_timeout = 0. ',
    );
  });

  it('leaves no lock behind in a session, even if its migrations go through it', async () => {
    await Promise.all(Array.from({ length: SESSIONS - 1 }, () => migrate(lenient.url)));
    const here = '(SELECT oid FROM pg_database WHERE datname = current_database())';
    const left = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = ${here}`;
    expect(await database.query(left)).toEqual([]);
  });

  it('whose role lacks settings ends in one line, and what that says mends it', async () => {
    const refused = start(pooled(strict.url));
    expect(await refused.exited).toBe(1);
    expect(refused.stdout).toBe('');
    expect(refused.stderr).toMatch(/^Holdfast did not start\. DATABASE_URL: [^\n]+\n$/);
    await database.query(/ALTER ROLE .*;/.exec(refused.stderr)![0]);
    await strict.forgetSessions();
    const started = start(pooled(strict.url));
    const address = await started.address();
    expect((await new Api(address).get('/health/ready')).status).toBe(200);
    expect(await started.end()).toBe(0);
  });

  it('has migrations that must not go through it', async () => {
    await database.query(roleSettings(database.url));
    await lenient.forgetSessions();
    await expect(migrate(lenient.url, 'DATABASE_MIGRATION_URL')).rejects.toThrow(
      /^DATABASE_MIGRATION_URL: its sessions have default_transaction_read_only = on, .* past any pooler/,
    );
    expect(await migrate(database.url, 'DATABASE_MIGRATION_URL')).toEqual([]);
  });
});

describe('A start at an address with options of its own', () => {
  it('is refused, because they take the place of ours', async () => {
    const database = await createDatabase();
    try {
      await checkSessions(database.url, { requestTimeoutMs: 15_000 });
      await expect(checkSessions(`${database.url}?options=-c%20jit=off`, { requestTimeoutMs: 15_000 })).rejects.toThrow(
        /have default_transaction_read_only = off, lock_timeout = 0, statement_timeout = 0\. .* SET lock_timeout = 3000;/,
      );
    } finally {
      await database.drop();
    }
  });
});
