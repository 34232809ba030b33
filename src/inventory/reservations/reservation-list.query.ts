import sql, { join, raw, type Sql } from 'sql-template-tag';
import { where } from '../../platform/database/fragments';
import type { Position } from '../../platform/http/cursor';
import { RESERVATION_STATUSES, type ReservationStatus } from './reservation.entity';

export interface ReservationFilters {
  userId?: string;
  status?: ReservationStatus;
  productId?: string;
}

/** The hold is over but not yet swept. */
export const IS_OVERDUE = `status = 'active' AND expires_at <= statement_timestamp()`;
/** The status that readers see. */
export const STATUS_SHOWN = `CASE WHEN ${IS_OVERDUE} THEN 'expired' ELSE status END`;

/** Below and above every id. */
const FIRST_ID = '00000000-0000-0000-0000-000000000000';
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

interface Page {
  readonly after: string;
  readonly count: number;
}

/**
 * The statement that finds the ids of at most `count` reservations after a position, newest first. With a product, they
 * are a range of its items, or of the user's items of it. Otherwise each status is a range, and the page is merged from
 * these. Active holds of a product are searched among all active holds. Decision 11 says for which lists a range is
 * long.
 */
export function reservationIdsQuery(filters: ReservationFilters, count: number, after: Position | undefined): Sql {
  const { userId, status, productId } = filters;
  const page = { after: after?.id ?? LAST_ID, count };
  const isByStatus = productId === undefined || (userId === undefined && status === 'active');
  const ways = isByStatus ? rangesOfStatuses(filters, page) : [rangeOfItems(filters, page)];
  return sql`SELECT id FROM (${join(ways, ' UNION ALL ')}) AS found ORDER BY id DESC LIMIT ${count}`;
}

function rangesOfStatuses(filters: ReservationFilters, page: Page): Sql[] {
  const { status, productId } = filters;
  const conditions = [
    ...(status === 'active' ? [sql`expires_at > statement_timestamp()`] : []),
    ...(productId === undefined ? [] : [hasItemOf(productId)]),
  ];
  const ranges = (status === undefined ? RESERVATION_STATUSES : [status]).map((one) =>
    newest({ table: 'reservations', key: { ...ownerIn(filters), status: one }, id: 'id' }, page, conditions),
  );
  return status === 'expired' ? [...ranges, overdue(filters, page)] : ranges;
}

/** All overdue holds: few, unless no sweep has run for long. */
function overdue({ userId }: ReservationFilters, { after }: Page): Sql {
  const isOfUser = userId === undefined ? [] : [sql`user_id = ${userId}`];
  return sql`(SELECT id FROM reservations ${where([raw(IS_OVERDUE), sql`id < ${after}`, ...isOfUser])})`;
}

/** OFFSET 0 makes the planner look up the status of each reservation by id, however rare it estimates the status. */
function rangeOfItems(filters: ReservationFilters, page: Page): Sql {
  const { status, productId } = filters;
  const key = { ...ownerIn(filters), product_id: productId! };
  const hasStatus = sql`
    EXISTS (SELECT FROM reservations WHERE id = reservation_id AND ${raw(STATUS_SHOWN)} = ${status} OFFSET 0)`;
  return newest(
    { table: 'reservation_items', key, id: 'reservation_id' },
    page,
    status === undefined ? [] : [hasStatus],
  );
}

interface Range {
  readonly table: string;
  readonly key: Record<string, string>;
  readonly id: string;
}

/**
 * The newest ids with a key, read backwards from the index on key and id. The row comparison keeps the planner from
 * choosing another index. DISTINCT, because a reservation may hold a product in several warehouses.
 */
function newest({ table, key, id }: Range, { after, count }: Page, conditions: readonly Sql[]): Sql {
  const columns = [...Object.keys(key), id];
  const order = raw(columns.join(', '));
  const values = join(Object.values(key));
  const bounds = [sql`(${order}) >= (${values}, ${FIRST_ID})`, sql`(${order}) < (${values}, ${after})`];
  return sql`(SELECT ${raw(id)} AS id FROM (
    SELECT DISTINCT ${order} FROM ${raw(table)} ${where([...bounds, ...conditions])}
    ORDER BY ${raw(columns.map((column) => `${column} DESC`).join(', '))} LIMIT ${count}) AS range)`;
}

function ownerIn({ userId }: ReservationFilters): { user_id?: string } {
  return userId === undefined ? {} : { user_id: userId };
}

function hasItemOf(productId: string): Sql {
  return sql`EXISTS (
    SELECT FROM reservation_items WHERE reservation_id = reservations.id AND product_id = ${productId})`;
}
