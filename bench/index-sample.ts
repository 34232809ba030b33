import type { Client } from 'pg';
import { Failure } from '../src/program';

/** The tables that a reservation and its order insert rows into. A level is only updated. */
export const TABLES = [
  'reservations',
  'reservation_items',
  'stock_movements',
  'audit_logs',
  'idempotency_keys',
  'orders',
  'order_items',
  'order_status_changes',
];

/** Rows in their initial state, for tables whose rows change later or are deleted. */
const AS_MADE: Record<string, string> = {
  reservations: `SELECT id, user_id, 'active' AS status, expires_at, order_id, total_amount, currency, created_at, updated_at
    FROM reservations`,
  orders: `SELECT id, user_id, 'pending' AS status, total_amount, currency, reservation_id, version, created_at, updated_at
    FROM orders`,
  idempotency_keys: `SELECT 'user:' || user_id AS caller, 'POST' AS method, '/api/reservations' AS path, id::text AS key,
      encode(sha256(id::text::bytea), 'base64') AS fingerprint, NULL::smallint AS status, NULL::json AS body,
      NULL AS location, created_at, id
    FROM reservations`,
};

/** These refer to older rows; all other ids are generated with the row or shortly before it. */
const OLDER = ['product_id', 'warehouse_id', 'user_id'];

export interface Index {
  readonly name: string;
  readonly definition: string;
  readonly drop: string;
}

/** Also works for a partitioned table, whose indexes are those of all its partitions. */
export async function indexesOf(client: Client, table: string): Promise<Index[]> {
  const { rows } = await client.query<Index>(
    `SELECT index.relname AS name, regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', '') AS definition,
       CASE WHEN conname IS NULL THEN format('DROP INDEX %I', index.relname)
         ELSE format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', indrelid::regclass, conname) END AS drop
     FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid
     LEFT JOIN pg_constraint ON conindid = indexrelid AND conrelid = indrelid AND contype IN ('p', 'u')
     WHERE indrelid = $1::regclass ORDER BY indisprimary DESC, index.relname`,
    [table],
  );
  return rows;
}

/** Creates the temporary table `sample`: copies of the newest rows, a little later. Returns the INSERT for them. */
export async function makeSample(client: Client, table: string, rows: number): Promise<string> {
  const { rows: columns } = await client.query<{ name: string; type: string }>(
    `SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [table],
  );
  const source = AS_MADE[table] ?? `SELECT * FROM ${table}`;
  const names = columns.map(({ name }) => name);
  const key = ['id', 'reservation_id', 'order_id'].find((name) => names.includes(name)) ?? 'id';
  await client.query('DROP TABLE IF EXISTS sample, newest');
  await client.query(`CREATE TEMP TABLE newest AS ${source} ORDER BY ${key} DESC LIMIT ${rows}`);
  await makeLater(client, key);
  const values = columns.map(({ name, type }) => (isLater(name, type) ? `pg_temp.later(${name}) AS ${name}` : name));
  const { rowCount } = await client.query(
    `CREATE TEMP TABLE sample AS SELECT ${values.join(', ')} FROM newest ORDER BY newest.${key}`,
  );
  if (rowCount !== rows) {
    throw new Failure(`${table} has ${rowCount} rows, not the ${rows} to begin with: run the seed first`);
  }
  return `INSERT INTO ${table} (${names.join(', ')}) SELECT ${names.join(', ')} FROM sample`;
}

function isLater(name: string, type: string): boolean {
  return (type === 'uuid' && !OLDER.includes(name)) || type === 'timestamp with time zone';
}

/**
 * Moves ids and times after the newest existing ones, a thousand times closer together, as under load. Only the time
 * part of an id changes, so ids stay unique and in order; equal ones stay equal.
 */
async function makeLater(client: Client, key: string): Promise<void> {
  const hex = `replace(id::text, '-', '')`;
  await client.query(
    `CREATE OR REPLACE FUNCTION pg_temp.ms(id uuid) RETURNS bigint LANGUAGE sql IMMUTABLE AS
     $$ SELECT ('x0000' || substr(${hex}, 1, 12))::bit(64)::bigint $$`,
  );
  const { rows } = await client.query<{ first: string; last: string }>(
    `SELECT pg_temp.ms(min(${key}::text)::uuid) AS first, pg_temp.ms(max(${key}::text)::uuid) AS last FROM newest`,
  );
  const { first, last } = rows[0]!;
  const later = (ms: string): string => `(${last} + 1 + (${ms} - ${first}) / 1000)`;
  await client.query(
    `CREATE OR REPLACE FUNCTION pg_temp.later(id uuid) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS
     $$ SELECT (lpad(right(to_hex(${later('pg_temp.ms(id)')}), 12), 12, '0') || substr(${hex}, 13))::uuid $$`,
  );
  await client.query(
    `CREATE OR REPLACE FUNCTION pg_temp.later(at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT AS
     $$ SELECT to_timestamp(${later('extract(epoch FROM at) * 1000')} / 1000) $$`,
  );
}
