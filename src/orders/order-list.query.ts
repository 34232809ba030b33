import sql, { join, raw, type Sql } from 'sql-template-tag';
import type { EntityManager } from 'typeorm';
import { where } from '../platform/database/fragments';
import { prepared } from '../platform/database/prepared';
import type { Position } from '../platform/http/cursor';
import { boundsOf } from '../platform/http/date-range';
import { DEFAULT_PAGE_SIZE } from '../platform/http/page';
import type { OrderView } from './order.entity';
import { ORDER_STATUSES } from './order-state';
import type { OrderSort, OrdersQuery } from './orders.dto';
import { ORDER_VIEW } from './orders.query';

type Column = 'created_at' | 'total_amount';

interface SortOrder {
  readonly column: Column;
  readonly direction: 'ASC' | 'DESC';
}

/** Every sort order is total: the unique id breaks ties. */
export const SORT_ORDERS: Readonly<Record<OrderSort, SortOrder>> = {
  newest: { column: 'created_at', direction: 'DESC' },
  oldest: { column: 'created_at', direction: 'ASC' },
  highest_value: { column: 'total_amount', direction: 'DESC' },
  lowest_value: { column: 'total_amount', direction: 'ASC' },
};

export type OrderFilters = Omit<OrdersQuery, 'limit' | 'cursor' | 'count'>;

/** If a range has at most this many orders, all of them are read and sorted. */
const FEW = 1000;
/** From this many orders on, the best plan of a page no longer changes as they grow. */
const MANY = 10_000;
/** Below and above every id. */
const FIRST_ID = '00000000-0000-0000-0000-000000000000';
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** A part of a list: at most `count` orders after a position. */
export interface Part {
  readonly count: number;
  readonly after?: Position;
}

/**
 * The orders of a part of the list, with their items, in the order of `sort`. One statement.
 * @param areMany whether there are many orders: a plan prepared for few would stay in use as they grow
 */
export function findOrders(
  manager: EntityManager,
  filters: OrderFilters,
  part: Part,
  areMany: boolean,
): Promise<OrderView[]> {
  const { text, values } = ordersQuery(filters, part);
  // Each length is a separate statement: only the default one is used often enough to prepare.
  const isKept = areMany && part.count === DEFAULT_PAGE_SIZE + 1;
  return manager.query<OrderView[]>(isKept ? prepared(text) : text, values);
}

/** Whether there are many orders, as far as PostgreSQL's statistics know. */
export async function findWhetherMany(manager: EntityManager): Promise<boolean> {
  const [orders] = await manager.query<{ areMany: boolean }[]>(
    `SELECT reltuples >= ${MANY} AS "areMany" FROM pg_class WHERE oid = 'orders'::regclass`,
  );
  return orders!.areMany;
}

/**
 * The statement of `findOrders`. It looks up the page of each status separately, in an index that is sorted within the
 * status, and merges these pages. Only the orders on the page are read from the table: OFFSET 0 makes the planner look
 * up each. An absent range becomes an unbounded one, so there are few different statements. The limit is part of the
 * text, so a generic plan knows how little it has to read.
 */
export function ordersQuery(filters: OrderFilters, { count, after }: Part): Sql {
  const { column, direction } = SORT_ORDERS[filters.sort];
  const sortedBy = (by: string): Sql => raw(`ORDER BY ${by} ${direction}, id ${direction} LIMIT ${count}`);
  return sql`
    SELECT listed.* FROM (
      SELECT page.* FROM unnest(${filters.status ?? ORDER_STATUSES}::text[]) AS wanted (status)
      ${pageOfStatus(filters, after, sortedBy)} ${sortedBy(column)}
    ) AS page
    CROSS JOIN LATERAL (SELECT ${raw(ORDER_VIEW)} FROM orders WHERE id = page.id OFFSET 0) AS listed
    ORDER BY ${raw(`page.${column} ${direction}, page.id ${direction}`)}`;
}

/** All matching orders, unsorted, for an estimate. */
export function selectOrders(filters: OrderFilters): Sql {
  const ranges = rangesOf(filters);
  const conditions = [
    ...ownerOf(filters),
    ...(filters.status ? [sql`status = ANY(${filters.status})`] : []),
    ...within('created_at', ranges.created_at),
    ...within('total_amount', ranges.total_amount),
  ];
  return sql`SELECT FROM orders ${where(conditions)}`;
}

/**
 * A range of the column that the list is not sorted by is a trap: if few orders lie in it, finding them in sort order
 * can read the whole index, and the planner does not expect that (an order of yesterday is hardly ever delivered). So
 * the range is counted first, up to a limit, and only one of two strategies runs. The index of each is not left to
 * estimates: conditions that could suggest another are hidden from the planner.
 */
function pageOfStatus(filters: OrderFilters, after: Position | undefined, sortedBy: (by: string) => Sql): Sql {
  const { column } = SORT_ORDERS[filters.sort];
  const other = column === 'created_at' ? 'total_amount' : 'created_at';
  const ranges = rangesOf(filters);
  const listed = afterPosition(after, ranges[column], SORT_ORDERS[filters.sort]);
  const ofStatus = (...conditions: Sql[]): Sql =>
    sql`FROM orders ${where([sql`status = wanted.status`, ...ownerOf(filters), ...conditions])}`;
  const pageBy = (sorted: string, ...conditions: Sql[]): Sql =>
    sql`SELECT id, ${raw(column)} ${ofStatus(...conditions)} ${sortedBy(sorted)}`;
  if (!ranges[other].isGiven) {
    return sql`CROSS JOIN LATERAL (${pageBy(column, ...listed)}) AS page`;
  }
  const inRange = within(other, ranges[other]);
  const few = pageBy(UNINDEXED[column], sql`NOT are_many`, ...inRange, hidden(listed));
  const many = pageBy(column, sql`are_many`, ...listed, hidden(inRange));
  return sql`
    CROSS JOIN LATERAL (
      SELECT count(*) > ${raw(`${FEW}`)} AS are_many
      FROM (SELECT ${ofStatus(...inRange)} ORDER BY ${raw(`${other} LIMIT ${FEW + 1}`)}) AS counted
    ) AS range
    CROSS JOIN LATERAL ((${few}) UNION ALL (${many})) AS page`;
}

/** Adding zero keeps the order of a column, and no index covers the expression. */
const UNINDEXED: Record<Column, string> = { created_at: `created_at + interval '0'`, total_amount: 'total_amount + 0' };

/** The planner assumes that a CASE is true for every second row, whatever it contains. */
function hidden(conditions: readonly Sql[]): Sql {
  return sql`CASE WHEN ${join(conditions, ' AND ')} THEN true END`;
}

interface Range {
  readonly least: unknown;
  readonly most: unknown;
  readonly isGiven: boolean;
}

function rangesOf(filters: OrderFilters): Record<Column, Range> {
  const { start, end } = boundsOf(filters);
  return { created_at: rangeOf(start, end), total_amount: rangeOf(filters.min_total, filters.max_total) };
}

function rangeOf(least: unknown, most: unknown): Range {
  const isGiven = least !== undefined || most !== undefined;
  return { least: least ?? '-infinity', most: most ?? 'infinity', isGiven };
}

function ownerOf(filters: OrderFilters): Sql[] {
  return filters.user_id === undefined ? [] : [sql`user_id = ${filters.user_id}`];
}

function within(column: Column, { least, most }: Range): Sql[] {
  return [sql`${raw(column)} >= ${least}`, sql`${raw(column)} <= ${most}`];
}

/** The conditions from a position, or from the start of the range, to its end. */
function afterPosition(after: Position | undefined, range: Range, { column, direction }: SortOrder): Sql[] {
  const isUp = direction === 'ASC';
  const [first, last] = isUp ? [range.least, range.most] : [range.most, range.least];
  const [value, id] = after ? [after.value, after.id] : [first, isUp ? FIRST_ID : LAST_ID];
  return [
    sql`(${raw(column)}, id) ${raw(isUp ? '>' : '<')} (${value}, ${id})`,
    sql`${raw(column)} ${raw(isUp ? '<=' : '>=')} ${last}`,
  ];
}
