import { makeMonth } from '../../src/audit/audit-partitions';
import { BulkSession } from '../../src/platform/database/bulk-session';
import { monthFromNow, partitionsOf, writeRows } from '../support/audit-months';
import { createDatabase, type TestDatabase } from '../support/database';
import { dataOf } from '../support/factories';
import { Build, type Running } from '../support/program';
import { until } from '../support/race';
import { startTestApp } from '../support/test-app';

const MONTHS = { '2025_01': 3, '2025_02': 0, '2025_03': 5 };

describe('npm run audit:archive', () => {
  let build: Build;
  let database: TestDatabase;
  beforeAll(async () => {
    build = await Build.make();
  });
  beforeEach(async () => {
    database = await createDatabase();
    const session = await BulkSession.open(database.url);
    for (const [month, rows] of Object.entries(MONTHS)) {
      await session.run(() => makeMonth(session, month.replace('_', '-')));
      await writeRows(database, month, rows);
    }
    await session.close();
  });
  afterEach(() => database.drop());

  const start = (args: string[], env: Record<string, string> = {}): Running =>
    build.start('audit-archive.command.js', args, { DATABASE_URL: database.url, ...env });
  const run = async (args: string[], env: Record<string, string> = {}): Promise<Running> => {
    const running = start(args, env);
    expect({ code: await running.exited, stderr: running.stderr }).toEqual({ code: 0, stderr: '' });
    return running;
  };
  const isThere = async (month: string): Promise<boolean> => {
    const [row] = await database.query<{ there: boolean }>(`SELECT to_regclass($1) IS NOT NULL AS there`, [
      `audit_logs_${month}`,
    ]);
    return row!.there;
  };
  const oldMonths = async (): Promise<string[]> =>
    (await partitionsOf(database))
      .map(({ name }) => name.slice('audit_logs_'.length))
      .filter((name) => name < '2025_99');

  it('takes the months before that one out of the log, as tables that still refuse changes, and writes it down', async () => {
    const { stdout } = await run(['--before', '2025-03']);
    expect(stdout).toBe(
      '2 partitions of the audit log before 2025-03, to be kept as tables.\n' +
        'audit_logs_2025_01: 3 rows\naudit_logs_2025_02: 0 rows\n',
    );
    expect(await oldMonths()).toEqual(['2025_03']);
    expect(await database.query('SELECT FROM audit_logs_2025_01')).toHaveLength(3);
    await expect(database.query('DELETE FROM audit_logs_2025_01')).rejects.toThrow('append-only');

    const test = await startTestApp({}, database);
    const rows = dataOf(await test.admin.get('/api/audit-logs?object_type=audit_log&actor=system:audit-archive'));
    const old = dataOf(await test.admin.get('/api/audit-logs?end_date=2025-12-31'));
    await test.close();
    expect(rows).toMatchObject([
      { action: 'audit_log.archived', new_value: archived('2025-02', 0, false), old_value: null },
      { action: 'audit_log.archived', new_value: archived('2025-01', 3, false), old_value: null },
    ]);
    expect(rows[0].request_id).toBe(rows[1].request_id);
    expect(rows[0].object_id).not.toBe(rows[1].object_id);
    expect(old).toHaveLength(5);
  });

  it('drops them with --drop, in production as well, and has nothing to do the second time', async () => {
    const env = { NODE_ENV: 'production', JWT_SECRET: 'a secret for production that is long enough' };
    expect((await run(['--before', '2025-04', '--drop'], env)).stdout).toMatch(/^3 partitions .* dropped\.\n/);
    expect(await Promise.all(Object.keys(MONTHS).map(isThere))).toEqual([false, false, false]);
    const rows = await database.query('SELECT new_value FROM audit_logs ORDER BY created_at, id');
    expect(rows).toEqual([
      { new_value: archived('2025-01', 3, true) },
      { new_value: archived('2025-02', 0, true) },
      { new_value: archived('2025-03', 5, true) },
    ]);
    expect((await run(['--before', '2025-04', '--drop'])).stdout).toMatch(/^0 partitions/);
    expect(await database.query('SELECT FROM audit_logs')).toHaveLength(3);
  });

  it('waits its turn while somebody reads, keeps nobody waiting for long, and goes on', async () => {
    const client = await database.pool.connect();
    await client.query('BEGIN');
    await client.query('SELECT FROM audit_logs_2025_01');
    await client.query('LOCK TABLE ONLY audit_logs IN ACCESS SHARE MODE');
    const running = start(['--before', '2025-02']);
    try {
      // Its lock is asked for, given up, and asked for again.
      for (const isWaiting of [true, false, true]) {
        await until(async () => (await waiting()) === isWaiting, `it waits: ${isWaiting}`);
      }
      await writeRows(database, await monthFromNow(database, 0), 1);
      expect(await oldMonths()).toContain('2025_01');
    } finally {
      await client.query('COMMIT');
      client.release();
    }
    expect(await running.exited).toBe(0);
    expect(await oldMonths()).toEqual(['2025_02', '2025_03']);
  });

  async function waiting(): Promise<boolean> {
    const [row] = await database.query<{ waiting: boolean }>(
      `SELECT count(*) > 0 AS waiting FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%DETACH%'`,
    );
    return row!.waiting;
  }

  it('takes each month out once when two run at once', async () => {
    const runs = [start(['--before', '2025-04', '--drop']), start(['--before', '2025-04', '--drop'])];
    expect(await Promise.all(runs.map(({ exited }) => exited))).toEqual([0, 0]);
    expect(await database.query(`SELECT FROM audit_logs WHERE action = 'audit_log.archived'`)).toHaveLength(3);
  });

  it('leaves a month as it was if what it does cannot be written down', async () => {
    await database.query(
      `ALTER TABLE audit_logs ADD CONSTRAINT no_archive CHECK (action <> 'audit_log.archived') NOT VALID`,
    );
    const running = start(['--before', '2025-02', '--drop']);
    expect(await running.exited).toBe(1);
    expect(await database.query(`SELECT FROM audit_logs WHERE created_at < '2025-02-01'`)).toHaveLength(3);
  });

  it.each([
    [[], '--before must be a month from 2000-01 to 2099-12, as 2026-01'],
    [['--before', '2025-13'], '--before must be a month from'],
    [['--older', '2025-01'], "Unknown option '--older'"],
  ])('refuses %j in one line', async (args, line) => {
    const running = start(args);
    expect(await running.exited).toBe(1);
    expect(running.stderr).toMatch(/^The archiving failed\. [^\n]+\n$/);
    expect(running.stderr).toContain(line);
  });

  it('refuses a month that began less than 31 days ago, by the clock of the database', async () => {
    const [row] = await database.query<{ latest: string; next: string }>(`
      SELECT to_char(day, 'YYYY-MM') AS latest, to_char(day + interval '1 month', 'YYYY-MM') AS next
      FROM (SELECT date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC' - interval '31 days') AS day) AS last`);
    const running = start(['--before', row!.next]);
    expect(await running.exited).toBe(1);
    expect(running.stderr).toContain(`began 31 days ago or earlier: ${row!.latest} is the latest`);
    await run(['--before', row!.latest]);
    expect(await oldMonths()).toEqual([]);
  });

  it('says with --help what it does', async () => {
    expect((await run(['--help'])).stdout).toContain('--before 2026-01 [--drop]');
  });
});

function archived(month: string, rows: number, dropped: boolean): object {
  return { table: `audit_logs_${month.replace('-', '_')}`, month, rows, dropped };
}
