import type { SeedPlan } from './seed-plan';

/**
 * Which column of random numbers a draw is from. Each thing that is drawn has its own, so that a new one changes none
 * of the others.
 */
export const SALT = {
  moment: 1,
  kindOfUser: 2,
  user: 3,
  fate: 4,
  isPending: 5,
  hold: 6,
  restock: 7,
  processing: 8,
  shipping: 9,
  delivery: 10,
  lines: 11,
  product: 12,
  quantity: 13,
  warehouse: 14,
  staff: 15,
  reason: 16,
  registration: 17,
  firstName: 18,
  lastName: 19,
  good: 20,
  adjective: 21,
  material: 22,
  price: 23,
  initialStock: 24,
  launch: 25,
  stores: 26,
  stockUp: 27,
  canceller: 28,
} as const;

/** The same for ids, which must differ even where time and number are the same. */
export const ID_SALT = {
  order: 101,
  reservation: 102,
  user: 103,
  request: 104,
  movement: 105,
  audit: 106,
  change: 107,
  product: 108,
  warehouse: 109,
  stockUp: 110,
  stockUpAudit: 111,
  catalogue: 112,
  endRequest: 113,
  registration: 114,
} as const;

/** A number from 0 to below 1 that depends on nothing but the plan, the column and `n`. */
export function draw(n: string, column: keyof typeof SALT): string {
  return `pg_temp.draw(${n}, ${SALT[column]})`;
}

/** A UUID version 7 of that millisecond. */
export function idOf(ms: string, n: string, kind: keyof typeof ID_SALT): string {
  return `pg_temp.id(${ms}, ${n}, ${ID_SALT[kind]})`;
}

/** One of an array, by a draw. */
export function oneOf(array: string, n: string, column: keyof typeof SALT): string {
  return `(${array})[1 + floor(${draw(n, column)} * cardinality(${array}))::int]`;
}

export function momentOf(ms: string): string {
  return `to_timestamp((${ms}) / 1000.0::float8)`;
}

/** As JavaScript writes a date into JSON. */
export function isoOf(ms: string): string {
  return `to_char(${momentOf(ms)}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

/**
 * What the connection needs before anything can be drawn. The functions are so plain that PostgreSQL puts their bodies
 * in their places; milliseconds are whole numbers, because those are cheaper than timestamps.
 */
export function preparations({ key }: SeedPlan): string[] {
  return [
    `SET TIME ZONE 'UTC'`,
    `SET work_mem = '128MB'`,
    `SET temp_buffers = '64MB'`,
    'SET jit = off',
    `CREATE FUNCTION pg_temp.bits(n bigint, salt int) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
       SELECT hashint8extended(n, '${key}'::bigint # (salt::bigint << 40)) $$`,
    `CREATE FUNCTION pg_temp.draw(n bigint, salt int) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
       SELECT ((pg_temp.bits(n, salt) >> 11) & 9007199254740991) / 9007199254740992::float8 $$`,
    `CREATE FUNCTION pg_temp.id(ms bigint, n bigint, salt int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
       SELECT encode(
         int8send((ms << 16) | 28672 | ((pg_temp.bits(n, salt) >> 50) & 4095)) ||
         int8send((pg_temp.bits(n, salt) & 4611686018427387903) | (1::bigint << 63)), 'hex')::uuid $$`,
    `CREATE TEMP TABLE seed_products (i int PRIMARY KEY, id uuid, sku text, name text, price numeric(14,2),
       created_ms bigint, initial_stock int, has_two_stores boolean)`,
    'CREATE TEMP TABLE seed_staff (i int PRIMARY KEY, id uuid, actor text)',
    'CREATE TEMP TABLE seed_users (i int PRIMARY KEY, id uuid, actor text)',
    ...batchTables(),
  ];
}

/** What is thought up for one batch before it is written: emptied with every transaction. */
function batchTables(): string[] {
  return [
    `seed_draws (n bigint, user_i int, fate text, created_ms bigint, ended_ms bigint, restocked_ms bigint,
       processing_ms bigint, shipped_ms bigint, delivered_ms bigint)`,
    `seed_lines (key bigint, n bigint, product_id uuid, warehouse_id uuid, level bigint, sku text, name text,
       quantity int, unit_price numeric(14,2))`,
    `seed_orders (n bigint, id uuid, reservation_id uuid, user_id uuid, actor text, fate text, status text, hold text,
       total numeric(24,2), items jsonb, created_ms bigint, ended_ms bigint, restocked_ms bigint, processing_ms bigint,
       shipped_ms bigint, delivered_ms bigint, changed_ms bigint, expires_ms bigint, version int, request_id uuid,
       end_request_id uuid, staff text, canceller text, reason text)`,
    `seed_steps (n bigint, step int, from_status text, to_status text, ms bigint, actor text, reason text,
       request_id uuid)`,
    `seed_supplies (product_id uuid, warehouse_id uuid, level bigint, available int, reserved int, quantity int,
       ms bigint, actor text)`,
  ].map((table) => `CREATE TEMP TABLE ${table} ON COMMIT DELETE ROWS`);
}
