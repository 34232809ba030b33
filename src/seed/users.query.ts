import sql, { type Sql } from 'sql-template-tag';
import { FOUNDED_BEFORE_MS } from './drawing.query';
import type { Batch, SeedPlan } from './seed-plan';

/** In argon2id's format, but matching no password: nobody can log in. */
const UNUSABLE_HASH = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;

/** Inserts the administrator who ships. Returns no row if it exists already. */
export function writeStaff({ tag, startMs }: SeedPlan): Sql {
  return writeUsers(sql`
    SELECT 0 AS i, pg_temp.staff_id() AS id, 'staff@' || ${domainOf(tag)} AS email, 'admin' AS role,
      'system:bootstrap' AS actor, ${startMs - FOUNDED_BEFORE_MS}::bigint AS ms`);
}

/** Inserts the customers whose first order is in this batch. */
export function writeCustomers({ tag }: SeedPlan, { first, last }: Batch): Sql {
  return writeUsers(sql`
    SELECT i, id, 'customer.' || i || '@' || ${domainOf(tag)} AS email, 'user' AS role, 'user:' || id AS actor,
      pg_temp.user_made(i) AS ms
    FROM generate_series((${first}::bigint + 4) / 3, (${last}::bigint + 2) / 3) AS i,
      LATERAL pg_temp.user_id(i) AS id`);
}

function writeUsers(people: Sql): Sql {
  return sql`
    WITH people AS (${people}), written AS (
      INSERT INTO users (id, email, password_hash, role, created_at)
      SELECT id, email, ${UNUSABLE_HASH}, role, pg_temp.moment(ms) FROM people ORDER BY ms
      ON CONFLICT (id) DO NOTHING RETURNING id
    )
    INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id, created_at, xid)
    SELECT pg_temp.id(ms, i, 'registration'), actor, 'user.registered', 'user', id,
      jsonb_build_object('email', email, 'role', role), pg_temp.id(ms, i, 'registration request'), pg_temp.moment(ms), NULL
    FROM people JOIN written USING (id) RETURNING id`;
}

function domainOf(tag: string): string {
  return `shop-${tag}.example`;
}
