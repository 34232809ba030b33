import sql, { raw, type Sql } from 'sql-template-tag';
import type { EntityManager } from 'typeorm';
import { columnsOf, queryRows, where } from '../platform/database/fragments';
import type { Position } from '../platform/http/cursor';
import { boundsOf } from '../platform/http/date-range';
import { AUDIT_ACTIONS, objectTypeOf } from './audit-action';
import { AuditLog } from './audit-log.entity';
import type { AuditQuery } from './audit.dto';

export type AuditFilters = Omit<AuditQuery, 'limit' | 'cursor' | 'count'>;

const COLUMNS = columnsOf(AuditLog);
const NEWEST_FIRST = sql`ORDER BY created_at DESC, id DESC`;

/** At most `count` rows after a position, newest first. One statement. */
export function findAuditLogs(
  manager: EntityManager,
  filters: AuditFilters,
  count: number,
  after: Position | undefined,
): Promise<AuditLog[]> {
  return queryRows(manager, auditQuery(filters, count, after));
}

/**
 * The statement of `findAuditLogs`, which reads about as many rows as it returns, whatever the filters. Following the
 * time and skipping rows that do not match could read the whole log (the sweep never creates an order), and the planner
 * does not expect that. So each combination of filters is written so that the planner can use only one index.
 */
export function auditQuery(filters: AuditFilters, count: number, after: Position | undefined): Sql {
  const { actor, action, object_type, object_id, request_id } = filters;
  const time = timeOf(filters, after);
  const page = (from: Sql, conditions: readonly Sql[]): Sql =>
    sql`SELECT ${COLUMNS} FROM ${from} ${where(conditions)} ${NEWEST_FIRST} LIMIT ${count}`;

  if (object_id !== undefined || request_id !== undefined) {
    // OFFSET 0: the planner must not use the outer conditions to find the rows of an object or a request.
    const few = sql`
      SELECT * FROM audit_logs ${where([...equal({ object_id, request_id }), ...time.all])} ${NEWEST_FIRST} OFFSET 0`;
    return page(sql`(${few}) AS log`, equal({ actor: actor?.toLowerCase(), action, object_type }));
  }
  if (actor !== undefined || action !== undefined || object_type !== undefined) {
    const actions = actionsOf(filters);
    const actors = actions.map(() => actor?.toLowerCase());
    const newest = newestOfOne(actor !== undefined, time);
    return page(
      sql`unnest(${actions}::text[], ${actors}::text[]) AS one (wanted, who)
        CROSS JOIN LATERAL (${newest} LIMIT ${count}) AS log`,
      [],
    );
  }
  return page(sql`audit_logs`, time.all);
}

/** All matching rows, unsorted, for an estimate. */
export function selectAuditLogs(filters: AuditFilters): Sql {
  const { actor, action, object_type, object_id, request_id } = filters;
  const given = equal({ actor: actor?.toLowerCase(), action, object_type, object_id, request_id });
  return sql`SELECT FROM audit_logs ${where([...given, ...timeOf(filters, undefined).all])}`;
}

/** The conditions on time from the filter and the position. */
interface Time {
  readonly start?: Sql;
  readonly end?: Sql;
  readonly after?: { readonly at: Sql; readonly id: string };
  /** Conditions on `created_at` alone, from which PostgreSQL can tell which partitions to read. */
  readonly months: readonly Sql[];
  readonly all: readonly Sql[];
}

function timeOf(filters: AuditFilters, position: Position | undefined): Time {
  const bounds = boundsOf(filters);
  const start = bounds.start && sql`${bounds.start}::timestamptz`;
  const end = bounds.end && sql`${bounds.end}::timestamptz`;
  const after = position && { at: sql`${position.value}::timestamptz`, id: position.id };
  const months = [
    ...(start ? [sql`created_at >= ${start}`] : []),
    ...(end ? [sql`created_at <= ${end}`] : []),
    ...(after ? [sql`created_at <= ${after.at}`] : []),
  ];
  const all = after ? [...months, sql`(created_at, id) < (${after.at}, ${after.id})`] : months;
  return { start, end, after, months, all };
}

/** An object's type is the first part of its actions, so it needs no index of its own. */
function actionsOf({ action, object_type: type }: AuditFilters): string[] {
  return AUDIT_ACTIONS.filter((one) => (action ?? one) === one && (type ?? objectTypeOf(one)) === objectTypeOf(one));
}

/**
 * The newest rows of the action `wanted`, of the actor `who` or of all, from the one index with that order. With `=`
 * instead of these bounds, the planner could use any index sorted by time, and read the whole log for a rare action. It
 * does not know the value of `who`, so it cannot assume that there are few rows and sort them all.
 */
function newestOfOne(isOfActor: boolean, { start, end, after, months }: Time): Sql {
  const [columns, wanted] = isOfActor ? [sql`actor, action`, sql`who, wanted`] : [sql`action`, sql`wanted`];
  const first = start ? sql`(${columns}, created_at) >= (${wanted}, ${start})` : sql`(${columns}) >= (${wanted})`;
  const last = end ? sql`(${columns}, created_at) <= (${wanted}, ${end})` : sql`(${columns}) <= (${wanted})`;
  const next = after && sql`(${columns}, created_at, id) < (${wanted}, ${after.at}, ${after.id})`;
  const order = isOfActor ? sql`actor DESC, action DESC` : sql`action DESC`;
  return sql`
    SELECT * FROM audit_logs ${where([first, next ?? last, ...months])} ORDER BY ${order}, created_at DESC, id DESC`;
}

function equal(filters: Record<string, string | undefined>): Sql[] {
  return Object.entries(filters).flatMap(([column, value]) =>
    value === undefined ? [] : sql`${raw(column)} = ${value}`,
  );
}
