import { AuditMonths } from '../../src/audit/audit-months';
import { log } from '../../src/platform/logging/logger';
import { monthFromNow, monthsOf, partitionsOf, writeRows } from '../support/audit-months';
import { aProduct, dataOf } from '../support/factories';
import { storm, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

describe('The months of the audit log', () => {
  let test: TestApp;
  let months: string[];
  beforeEach(async () => {
    test = await startTestApp();
    months = await Promise.all([0, 1, 2, 3].map((ahead) => monthFromNow(test.database, ahead)));
  });
  afterEach(() => test.close());

  const makeAhead = ({ app }: TestApp = test): Promise<string[]> => app.get(AuditMonths, { strict: false }).makeAhead();
  const lose = async (...lost: string[]): Promise<void> => {
    for (const month of lost) {
      await test.database.query(`DROP TABLE audit_logs_${month}`);
    }
  };
  const rowsIn = async (name: string): Promise<number | undefined> =>
    (await partitionsOf(test.database)).find((partition) => partition.name === `audit_logs_${name}`)?.rows;

  it('are this one and three more from the start, and nothing is to be made', async () => {
    expect(await monthsOf(test.database)).toEqual(months);
    expect(await makeAhead()).toEqual([]);
  });

  it('hold what is written in them', async () => {
    await aProduct(test);
    expect([await rowsIn(months[0]!), await rowsIn('default')]).toEqual([1, 0]);
  });

  it('are made once each by many processes at once, as they were, and all of them refuse changes', async () => {
    const twin = await startTestApp({}, test.database);
    await lose(...months);
    const made = await storm(12, (index) => makeAhead(index % 2 ? test : twin));
    await twin.close();
    expect(made.flat().sort()).toEqual(months.map((month) => month.replace('_', '-')));
    expect(await monthsOf(test.database)).toEqual(months);
    for (const { name } of [...(await partitionsOf(test.database)), { name: 'audit_logs' }]) {
      for (const sql of [`UPDATE ${name} SET actor = actor`, `DELETE FROM ${name}`, `TRUNCATE ${name} CASCADE`]) {
        await expect(test.database.query(sql)).rejects.toThrow(`${name} is append-only`);
      }
    }
    const [indexes] = await test.database.query<{ least: number; most: number }>(`
      SELECT min(indexes)::int AS least, max(indexes)::int AS most FROM (
        SELECT count(*) AS indexes FROM pg_index JOIN pg_inherits ON inhrelid = indrelid
        WHERE inhparent = 'audit_logs'::regclass GROUP BY indrelid) AS of_partition`);
    expect(indexes).toEqual({ least: 6, most: 6 });
  });

  it('miss no row: what finds no month goes to the default partition, and moves when its month is made', async () => {
    await lose(months[0]!, months[2]!);
    await aProduct(test);
    await writeRows(test.database, months[2]!, 3);
    await writeRows(test.database, '2020_01', 2);
    expect(await rowsIn('default')).toBe(6);
    const before = await test.database.query('SELECT * FROM audit_logs ORDER BY id');
    expect(await makeAhead()).toHaveLength(2);
    expect([await rowsIn(months[0]!), await rowsIn(months[2]!), await rowsIn('default')]).toEqual([1, 3, 2]);
    expect(await test.database.query('SELECT * FROM audit_logs ORDER BY id')).toEqual(before);
    await expect(test.database.query('DELETE FROM audit_logs_default')).rejects.toThrow('append-only');
  });

  it('are made beside a transaction that has written and goes on', async () => {
    await lose(months[3]!);
    const client = await test.database.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query(`INSERT INTO audit_logs SELECT gen_random_uuid(), 'system:test', 'order.created', 'order',
        gen_random_uuid(), NULL, NULL, gen_random_uuid()`);
      expect(await makeAhead()).toHaveLength(1);
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  });

  it('keep nobody from writing while they are made, however long that takes', async () => {
    await lose(months[3]!);
    const lock = {
      sql: 'LOCK TABLE ONLY audit_logs_default IN ACCESS SHARE MODE',
      meanwhile: () => aProduct(test),
    };
    expect(await whileLocked(test.database, lock, () => makeAhead())).toHaveLength(1);
    expect(await rowsIn(months[0]!)).toBe(1);
  });

  it('that cannot be made are left for the next time, and the others are made', async () => {
    await lose(months[2]!, months[3]!);
    // A table is a type as well, so none can be made of that name.
    await test.database.query(`CREATE TYPE audit_logs_${months[2]} AS ENUM ()`);
    log.level = 'silent';
    expect(await makeAhead()).toEqual([months[3]!.replace('_', '-')]);
    await test.database.query(`DROP TYPE audit_logs_${months[2]}`);
    expect(await makeAhead()).toEqual([months[2]!.replace('_', '-')]);
  });

  it('wait for a lock no longer than any statement, and are made the next time', async () => {
    await lose(months[3]!);
    log.level = 'silent';
    const client = await test.database.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('LOCK TABLE ONLY audit_logs IN SHARE UPDATE EXCLUSIVE MODE');
      expect(await makeAhead()).toEqual([]);
      expect(dataOf(await test.admin.get('/api/audit-logs'))).toEqual([]);
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
    expect(await makeAhead()).toHaveLength(1);
  });

  it('are not made again when they were archived', async () => {
    const table = `audit_logs_${months[0]}`;
    await test.database.query(`ALTER TABLE audit_logs DETACH PARTITION ${table}`);
    expect(await makeAhead()).toEqual([]);
    await aProduct(test);
    expect(await rowsIn('default')).toBe(1);
  });
});
