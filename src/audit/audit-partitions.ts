import type { Tx } from '../platform/database/tx';
import { lockDefault, lockPartitions } from './audit-partitions.locks';

type Database = Pick<Tx, 'query'>;

export interface AuditPartition {
  readonly name: string;
  /** The last month in it, in UTC: `2026-11`. */
  readonly month: string;
}

/**
 * The partitions with their bounds; the first may have no lower one. The default partition has none and is left out.
 */
const PARTITIONS = `
  SELECT inhrelid::regclass::text AS name, (regexp_match(bounds, 'FROM \\(''([^'']+)''\\)'))[1]::timestamptz AS since, until
  FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
  CROSS JOIN LATERAL pg_get_expr(relpartbound, inhrelid) AS bounds
  CROSS JOIN LATERAL CAST((regexp_match(bounds, 'TO \\(''([^'']+)''\\)'))[1] AS timestamptz) AS until
  WHERE inhparent = 'audit_logs'::regclass AND until IS NOT NULL`;

/**
 * An archived month keeps its table's name and is not created again. $1: a day of the first month, $2: how many more
 */
const MISSING = `
  SELECT to_char(month, 'YYYY-MM') AS month
  FROM date_trunc('month', $1::timestamp) AS first,
    generate_series(first, first + make_interval(months => $2::int), interval '1 month') AS month
  WHERE to_regclass('audit_logs_' || to_char(month, 'YYYY_MM')) IS NULL AND NOT EXISTS (
    SELECT FROM (${PARTITIONS}) AS partition
    WHERE until > month AT TIME ZONE 'UTC'
      AND (since IS NULL OR since < (month + interval '1 month') AT TIME ZONE 'UTC'))
  ORDER BY month`;

const BEFORE = `
  SELECT name, to_char((until AT TIME ZONE 'UTC') - interval '1 day', 'YYYY-MM') AS month
  FROM (${PARTITIONS}) AS partition
  WHERE until <= $1::timestamp AT TIME ZONE 'UTC' ORDER BY until`;

/** Of the month of `day` and the `after` months that follow, those without a partition. In UTC. */
export async function missingMonths(database: Database, day: string, after: number): Promise<string[]> {
  const rows = await database.query<{ month: string }[]>(MISSING, [day, after]);
  return rows.map(({ month }) => month);
}

/** The partitions that end before that month. */
export function partitionsBefore(database: Database, month: string): Promise<AuditPartition[]> {
  return database.query<AuditPartition[]>(BEFORE, [`${month}-01`]);
}

/**
 * Creates the partition of a month in the open transaction, unless another process was faster. Moves rows of that month
 * from the default partition into it. Rows of other months can be written meanwhile.
 */
export async function makeMonth(database: Database, month: string): Promise<boolean> {
  await lockPartitions(database);
  const first = `${month}-01`;
  if ((await missingMonths(database, first, 0)).length === 0) {
    return false;
  }
  const name = `audit_logs_${month.replace('-', '_')}`;
  // Not PARTITION OF, which would block all writers.
  await database.query(`CREATE TABLE ${name} (LIKE audit_logs INCLUDING DEFAULTS)`);
  await database.query(`
    CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ${name}
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`);
  await lockDefault(database);
  const [row] = await database.query<{ next: string }[]>(
    `SELECT to_char($1::date + interval '1 month', 'YYYY-MM-DD') AS next`,
    [first],
  );
  const [since, until] = [first, row!.next].map((day) => `'${day} 00:00:00+00'`);
  await moveFromDefault(database, name, `created_at >= ${since} AND created_at < ${until}`);
  await database.query(`ALTER TABLE audit_logs ATTACH PARTITION ${name} FOR VALUES FROM (${since}) TO (${until})`);
  return true;
}

/** The default partition is locked, so nobody else sees it without its trigger. */
async function moveFromDefault(database: Database, name: string, condition: string): Promise<void> {
  await database.query('ALTER TABLE audit_logs_default DISABLE TRIGGER audit_logs_append_only');
  await database.query(`
    WITH moved AS (DELETE FROM audit_logs_default WHERE ${condition} RETURNING *)
    INSERT INTO ${name} SELECT * FROM moved`);
  await database.query('ALTER TABLE audit_logs_default ENABLE TRIGGER audit_logs_append_only');
}
