import { randomBytes } from 'node:crypto';
import { Client, Pool } from 'pg';

export const SERVER_VARIABLE = 'HOLDFAST_TEST_SERVER';
export const TEMPLATE = 'holdfast_template';

/** A database of one test file, and a pool to look into it past the API. */
export interface TestDatabase {
  readonly url: string;
  readonly pool: Pool;
  query<Row extends object>(sql: string, values?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

/** The address of a database on the server that the tests run on. */
export function databaseUrl(name: string): string {
  const url = new URL(process.env[SERVER_VARIABLE]!);
  url.pathname = `/${name}`;
  return url.toString();
}

/** Makes a database: a copy of the migrated template or of another. */
export async function createDatabase({
  template = TEMPLATE,
  name = `test_${randomBytes(6).toString('hex')}`,
} = {}): Promise<TestDatabase> {
  // One that bears a name may be left from an earlier run.
  await onServer(`DROP DATABASE IF EXISTS ${name}`);
  await onServer(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  const pool = new Pool({ connectionString: databaseUrl(name), max: 20 });
  // Its connections may still be closing when the database is dropped under them.
  pool.on('error', () => undefined);
  return {
    url: databaseUrl(name),
    pool,
    query: async <Row extends object>(sql: string, values?: unknown[]) => (await pool.query<Row>(sql, values)).rows,
    drop: async () => {
      await pool.end();
      await onServer(`DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

const TABLES = [
  'users',
  'products',
  'warehouses',
  'stock_levels',
  'stock_movements',
  'reservations',
  'reservation_items',
  'orders',
  'order_items',
  'order_status_changes',
  'audit_logs',
  'idempotency_keys',
  'webhook_endpoints',
];

/** Alerts follow by themselves, some time after what they are about. */
const NO_ALERT = `actor <> 'system:stock-alerts'`;

/** How many rows each table has: the same before and after means that nothing was left behind. */
export async function rowCounts(database: TestDatabase): Promise<Record<string, number>> {
  const counts = TABLES.map(
    (table) =>
      `SELECT '${table}' AS "table", count(*)::int AS rows FROM ${table}${table === 'audit_logs' ? ` WHERE ${NO_ALERT}` : ''}`,
  );
  const rows = await database.query<{ table: string; rows: number }>(counts.join(' UNION ALL '));
  return Object.fromEntries(rows.map((row) => [row.table, row.rows]));
}

async function onServer(sql: string): Promise<void> {
  const client = new Client(process.env[SERVER_VARIABLE]);
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
