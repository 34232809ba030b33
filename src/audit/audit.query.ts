import type { EntityManager } from 'typeorm';
import type { Select } from '../platform/database/estimate';
import type { Position } from '../platform/http/cursor';
import { boundsOf } from '../platform/http/date-range';
import { AUDIT_ACTIONS, objectTypeOf } from './audit-action';
import type { AuditLog } from './audit-log.entity';
import type { AuditQuery } from './audit.dto';

export type AuditFilters = Omit<AuditQuery, 'limit' | 'cursor' | 'count'>;

const COLUMNS = `id, actor, action, object_type AS "objectType", object_id AS "objectId", old_value AS "oldValue",
    new_value AS "newValue", request_id AS "requestId", created_at AS "createdAt"`;
const NEWEST_FIRST = 'ORDER BY created_at DESC, id DESC';

/** At most `count` rows after a position, newest first. One statement. */
export function findAuditLogs(
  manager: EntityManager,
  filters: AuditFilters,
  count: number,
  after: Position | undefined,
): Promise<AuditLog[]> {
  const { sql, values } = auditQuery(filters, count, after);
  return manager.query<AuditLog[]>(sql, values);
}

/**
 * The statement of `findAuditLogs`, which reads about as many rows as it gives, whatever the filters. To follow the time
 * and leave out what does not match can mean to read the whole log (the sweep never made an order), and the planner does
 * not see it coming. So each filter has its way, which leaves the planner one index to take.
 */
export function auditQuery(filters: AuditFilters, count: number, after: Position | undefined): Select {
  const values: unknown[] = [];
  const bind = (value: unknown): string => `$${values.push(value)}`;
  const { actor, action, object_type: type, object_id: object, request_id: request } = filters;
  const time = timeOf(filters, after, bind);
  const limit = `LIMIT ${bind(count)}`;
  const page = (from: string, conditions: readonly string[]): Select => ({
    sql: `SELECT ${COLUMNS} FROM ${from} ${where(conditions)} ${NEWEST_FIRST} ${limit}`,
    values,
  });

  if (object !== undefined || request !== undefined) {
    const few = where([...equal({ object_id: object, request_id: request }, bind), ...time.all]);
    // OFFSET 0: what is outside of it is no way to find the rows of an object or a request.
    const rows = `SELECT * FROM audit_logs ${few} ${NEWEST_FIRST} OFFSET 0`;
    return page(`(${rows}) AS log`, equal({ actor: actor?.toLowerCase(), action, object_type: type }, bind));
  }
  if (actor !== undefined || action !== undefined || type !== undefined) {
    const actions = actionsOf(filters);
    const actors = actions.map(() => actor?.toLowerCase());
    const one = `unnest(${bind(actions)}::text[], ${bind(actors)}::text[]) AS one (wanted, who)`;
    return page(`${one} CROSS JOIN LATERAL (${newestOfOne(actor !== undefined, time)} ${limit}) AS log`, []);
  }
  return page('audit_logs', time.all);
}

/** All of them in no order, for an estimate. */
export function selectAuditLogs(filters: AuditFilters): Select {
  const values: unknown[] = [];
  const bind = (value: unknown): string => `$${values.push(value)}`;
  const { actor, action, object_type, object_id, request_id } = filters;
  const given = equal({ actor: actor?.toLowerCase(), action, object_type, object_id, request_id }, bind);
  return { sql: `SELECT FROM audit_logs ${where([...given, ...timeOf(filters, undefined, bind).all])}`, values };
}

/** What the filter and the position say of the time, as placeholders. */
interface Time {
  readonly start?: string;
  readonly end?: string;
  readonly after?: { readonly at: string; readonly id: string };
  /** Which months need to be looked at: only a comparison of the column alone tells that. */
  readonly months: readonly string[];
  readonly all: readonly string[];
}

function timeOf(filters: AuditFilters, position: Position | undefined, bind: (value: unknown) => string): Time {
  const bounds = boundsOf(filters);
  const start = bounds.start && `${bind(bounds.start)}::timestamptz`;
  const end = bounds.end && `${bind(bounds.end)}::timestamptz`;
  const after = position && { at: `${bind(position.value)}::timestamptz`, id: bind(position.id) };
  const months = [
    ...(start ? [`created_at >= ${start}`] : []),
    ...(end ? [`created_at <= ${end}`] : []),
    ...(after ? [`created_at <= ${after.at}`] : []),
  ];
  const all = after ? [...months, `(created_at, id) < (${after.at}, ${after.id})`] : months;
  return { start, end, after, months, all };
}

/** An object's type is what its actions begin with, and needs no index of its own. */
function actionsOf({ action, object_type: type }: AuditFilters): string[] {
  return AUDIT_ACTIONS.filter((one) => (action ?? one) === one && (type ?? objectTypeOf(one)) === objectTypeOf(one));
}

/**
 * The newest rows of the action `wanted`, of the actor `who` or of all, out of the one index that is sorted so. With `=`
 * instead of these bounds, any index would do that is sorted by time: for an action that is rare, all of the log. And
 * because the planner does not know who it is, it does not take them for few, and sort what it need not read.
 */
function newestOfOne(isOfActor: boolean, { start, end, after, months }: Time): string {
  const columns = isOfActor ? 'actor, action' : 'action';
  const wanted = isOfActor ? 'who, wanted' : 'wanted';
  const first = start ? `(${columns}, created_at) >= (${wanted}, ${start})` : `(${columns}) >= (${wanted})`;
  const last = end ? `(${columns}, created_at) <= (${wanted}, ${end})` : `(${columns}) <= (${wanted})`;
  const next = after && `(${columns}, created_at, id) < (${wanted}, ${after.at}, ${after.id})`;
  const order = [...columns.split(', '), 'created_at', 'id'].map((column) => `${column} DESC`).join(', ');
  return `SELECT * FROM audit_logs ${where([first, next ?? last, ...months])} ORDER BY ${order}`;
}

function equal(filters: Record<string, string | undefined>, bind: (value: unknown) => string): string[] {
  return Object.entries(filters).flatMap(([column, value]) =>
    value === undefined ? [] : `${column} = ${bind(value)}`,
  );
}

function where(conditions: readonly string[]): string {
  return conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
}
