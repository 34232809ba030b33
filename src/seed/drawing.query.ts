import { DAY_MS, type SeedPlan } from './seed-plan';

/** How long before the first order the shop is founded. */
export const FOUNDED_BEFORE_MS = 31 * DAY_MS;

/**
 * Functions of the connection. Each drawn value depends only on the plan, a number, and a word for what is drawn. They
 * are simple enough that PostgreSQL inlines them, and evaluates the hash of each word once.
 */
export function functionsOf({ key, orders, days, startMs }: SeedPlan): string[] {
  const functions: Record<string, string> = {
    'hash(n bigint, what text) RETURNS bigint': `hashint8extended(n, hashtextextended(what, '${key}'))`,
    // From 0 inclusive to 1 exclusive.
    'draw(n bigint, what text) RETURNS float8': `
      ((pg_temp.hash(n, what) >> 11) & 9007199254740991) / 9007199254740992::float8`,
    // A UUID version 7 of that millisecond.
    'id(ms bigint, n bigint, what text) RETURNS uuid': `
      encode(int8send((ms << 16) | 28672 | ((pg_temp.hash(n, what) >> 50) & 4095)) ||
        int8send((pg_temp.hash(n, what) & 4611686018427387903) | (1::bigint << 63)), 'hex')::uuid`,
    'moment(ms bigint) RETURNS timestamptz': `to_timestamp(ms / 1000.0::float8)`,
    // As JavaScript writes a date into JSON.
    'iso(ms bigint) RETURNS text': `to_char(pg_temp.moment(ms), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
    'day_of_order(n bigint) RETURNS bigint': `${startMs} + ${DAY_MS} * ((n * ${days} - 1) / ${orders})`,
    // Between 6:00 and 23:00, so that a hold of at most 20 minutes ends on the same day.
    'order_made(n bigint) RETURNS bigint': `
      pg_temp.day_of_order(n) + (3600000 * (6 + 17 * pg_temp.draw(n, 'made')))::bigint`,
    // Every third order is the first of a new user, who has registered between 1:00 and 5:00 of that day.
    'user_made(i bigint) RETURNS bigint': `
      pg_temp.day_of_order(i * 3 - 2) + (3600000 * (1 + 4 * pg_temp.draw(i, 'registered')))::bigint`,
    'user_id(i bigint) RETURNS uuid': `pg_temp.id(pg_temp.user_made(i), i, 'user')`,
    'staff_id() RETURNS uuid': `pg_temp.id(${startMs - FOUNDED_BEFORE_MS}, 0, 'user')`,
    'staff() RETURNS text': `'user:' || pg_temp.staff_id()`,
  };
  return Object.entries(functions).map(
    ([head, body]) => `CREATE FUNCTION pg_temp.${head} LANGUAGE sql STABLE AS $$ SELECT ${body} $$`,
  );
}
