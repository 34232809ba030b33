import type { TestDatabase } from './database';

const MONTH = /^audit_logs_(\d{4}_\d\d)$/;

export interface Partition {
  name: string;
  rows: number;
}

/** The partitions of the audit log by name, and how many rows each has. */
export async function partitionsOf(database: TestDatabase): Promise<Partition[]> {
  return database.query<Partition>(`
    SELECT inhrelid::regclass::text AS name, (SELECT count(*)::int FROM audit_logs WHERE tableoid = inhrelid) AS rows
    FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass ORDER BY 1`);
}

/** The months that have a partition: `2026_11`. */
export async function monthsOf(database: TestDatabase): Promise<string[]> {
  return (await partitionsOf(database)).flatMap(({ name }) => MONTH.exec(name)?.[1] ?? []);
}

/** The month so many months from now, by the database's clock: `2026_11`. */
export async function monthFromNow(database: TestDatabase, months: number): Promise<string> {
  const [row] = await database.query<{ month: string }>(
    `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC' + make_interval(months => $1), 'YYYY_MM') AS month`,
    [months],
  );
  return row!.month;
}

/** Rows of the middle of a month, `2026_11`, that nobody else has written. */
export async function writeRows(
  database: TestDatabase,
  month: string,
  rows: number,
  action = 'order.created',
): Promise<void> {
  await database.query(
    `INSERT INTO audit_logs (id, actor, action, object_type, object_id, request_id, created_at)
     SELECT gen_random_uuid(), 'system:test', $3, split_part($3, '.', 1), gen_random_uuid(), gen_random_uuid(),
       (replace($1, '_', '-') || '-15')::timestamp AT TIME ZONE 'UTC' + n * interval '1 ms'
     FROM generate_series(1, $2::int) AS n`,
    [month, rows, action],
  );
}
