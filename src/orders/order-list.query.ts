import type { EntityManager } from 'typeorm';
import type { Select } from '../platform/database/estimate';
import type { Position } from '../platform/http/cursor';
import { boundsOf } from '../platform/http/date-range';
import type { Order, OrderItem } from './order.entity';
import { ORDER_STATUSES } from './order-state';
import type { OrderSort, OrdersQuery } from './orders.dto';

type Column = 'created_at' | 'total_amount';

interface SortOrder {
  readonly column: Column;
  readonly direction: 'ASC' | 'DESC';
}

/** Every order of the list is a total one: the id, which is unique, breaks ties. */
export const SORT_ORDERS: Readonly<Record<OrderSort, SortOrder>> = {
  newest: { column: 'created_at', direction: 'DESC' },
  oldest: { column: 'created_at', direction: 'ASC' },
  highest_value: { column: 'total_amount', direction: 'DESC' },
  lowest_value: { column: 'total_amount', direction: 'ASC' },
};

export type OrderFilters = Omit<OrdersQuery, 'limit' | 'cursor' | 'count'>;

/** Where so few orders lie in a range, all of them are looked at and sorted. */
const FEW = 1000;

const COLUMNS = `id, user_id AS "userId", status, total_amount AS "totalAmount", currency, reservation_id AS "reservationId",
    version, created_at AS "createdAt", updated_at AS "updatedAt", (
      SELECT coalesce(json_agg(json_build_object('productId', product_id, 'warehouseId', warehouse_id, 'sku', sku,
        'name', name, 'quantity', quantity, 'unitPrice', unit_price::text) ORDER BY product_id, warehouse_id), '[]')
      FROM order_items WHERE order_id = orders.id) AS items`;

export type ListedOrder = Order & { items: Omit<OrderItem, 'orderId'>[] };

/** At most `count` orders after a position, with their items, in the order of `sort`. One statement. */
export function findOrders(
  manager: EntityManager,
  filters: OrderFilters,
  count: number,
  after: Position | undefined,
): Promise<ListedOrder[]> {
  const { sql, values } = ordersQuery(filters, count, after);
  return manager.query<ListedOrder[]>(sql, values);
}

/**
 * The statement of `findOrders`. The page of each status is looked up by itself, in an index that has that status in
 * order; these pages are merged, and only the orders that are shown are read from the table.
 */
export function ordersQuery(filters: OrderFilters, count: number, after: Position | undefined): Select {
  const values: unknown[] = [];
  const bind: Bind = (value) => `$${values.push(value)}`;
  const { column, direction } = SORT_ORDERS[filters.sort];
  const order = `ORDER BY ${column} ${direction}, id ${direction}`;
  const limit = `LIMIT ${bind(count)}`;
  const sql = `
    SELECT ${COLUMNS} FROM orders WHERE id IN (
      SELECT page.id FROM unnest(${bind(filters.status ?? ORDER_STATUSES)}::text[]) AS wanted (status)
      ${pageOfStatus(filters, conditionsOf(filters, after, bind), limit)} ${order} ${limit}
    ) ${order}`;
  return { sql, values };
}

/** All of them in no order, for an estimate. */
export function selectOrders(filters: OrderFilters): Select {
  const values: unknown[] = [];
  const bind: Bind = (value) => `$${values.push(value)}`;
  const { owner, created_at, total_amount } = conditionsOf(filters, undefined, bind);
  const status = filters.status ? [`status = ANY(${bind(filters.status)})`] : [];
  const conditions = [...owner, ...status, ...created_at, ...total_amount];
  return { sql: `SELECT FROM orders ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}`, values };
}

/**
 * A range of the column that the list is not sorted by has a trap: where few orders lie in it, following the sort order
 * to find them can mean to read the whole index, and the planner cannot see it coming (what was ordered yesterday is
 * hardly ever delivered). So the range is counted first, up to a limit, and one of two ways is taken: the other is not
 * even begun. Which index a way follows is not left to estimates: all else is hidden from the planner.
 */
function pageOfStatus({ sort }: OrderFilters, { owner, ...ranges }: Conditions, limit: string): string {
  const { column, direction } = SORT_ORDERS[sort];
  const other = column === 'created_at' ? 'total_amount' : 'created_at';
  const where = (...conditions: string[]): string =>
    `FROM orders WHERE ${['status = wanted.status', ...owner, ...conditions].join(' AND ')}`;
  const pageBy = (sorted: string, ...conditions: string[]): string =>
    `SELECT id, ${column} ${where(...conditions)} ORDER BY ${sorted} ${direction}, id ${direction} ${limit}`;
  if (ranges[other].length === 0) {
    return `CROSS JOIN LATERAL (${pageBy(column, ...ranges[column])}) AS page`;
  }
  const few = pageBy(UNINDEXED[column], 'NOT are_many', ...ranges[other], ...hidden(ranges[column]));
  const many = pageBy(column, 'are_many', ...ranges[column], ...hidden(ranges[other]));
  return `
    CROSS JOIN LATERAL (
      SELECT count(*) > ${FEW} AS are_many
      FROM (SELECT ${where(...ranges[other])} ORDER BY ${other} LIMIT ${FEW + 1}) AS counted
    ) AS range
    CROSS JOIN LATERAL ((${few}) UNION ALL (${many})) AS page`;
}

/** Adding nothing keeps the order of a column, and no index has it. */
const UNINDEXED: Record<Column, string> = { created_at: `created_at + interval '0'`, total_amount: 'total_amount + 0' };

/** To the planner a CASE is true for every second row, whatever is in it. */
function hidden(conditions: readonly string[]): string[] {
  return conditions.length === 0 ? [] : [`CASE WHEN ${conditions.join(' AND ')} THEN true END`];
}

type Bind = (value: unknown) => string;
type Conditions = Record<'owner' | Column, string[]>;

function conditionsOf(filters: OrderFilters, after: Position | undefined, bind: Bind): Conditions {
  const { column, direction } = SORT_ORDERS[filters.sort];
  const { start, end } = boundsOf(filters);
  const given = (condition: string, value: unknown): string[] =>
    value === undefined ? [] : [`${condition} ${bind(value)}`];
  const conditions = {
    owner: given('user_id =', filters.user_id),
    created_at: [...given('created_at >=', start), ...given('created_at <=', end)],
    total_amount: [...given('total_amount >=', filters.min_total), ...given('total_amount <=', filters.max_total)],
  };
  if (after) {
    const sign = direction === 'ASC' ? '>' : '<';
    conditions[column].push(`(${column}, id) ${sign} (${bind(after.value)}, ${bind(after.id)})`);
  }
  return conditions;
}
