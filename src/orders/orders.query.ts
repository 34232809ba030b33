import { type EntityManager, In } from 'typeorm';
import { NotFound } from '../platform/errors/domain-errors';
import { groupBy } from '../platform/group-by';
import { Answer } from '../platform/http/answer';
import type { Position } from '../platform/http/cursor';
import { boundsOf } from '../platform/http/date-range';
import { isAdmin, type UserActor } from '../platform/security/actor';
import { Order, OrderItem } from './order.entity';
import { type OrderResponse, type OrderSort, type OrdersQuery, toOrderResponse } from './orders.dto';

interface SortOrder {
  readonly column: 'created_at' | 'total_amount';
  readonly direction: 'ASC' | 'DESC';
}

/** Every order of the list is a total one: the id, which is unique, breaks ties. */
export const SORT_ORDERS: Readonly<Record<OrderSort, SortOrder>> = {
  newest: { column: 'created_at', direction: 'DESC' },
  oldest: { column: 'created_at', direction: 'ASC' },
  highest_value: { column: 'total_amount', direction: 'DESC' },
  lowest_value: { column: 'total_amount', direction: 'ASC' },
};

export type OrderFilters = Omit<OrdersQuery, 'limit' | 'cursor'>;

/** Where so few orders lie in a range, all of them are read and sorted, whatever the planner thinks of it. */
const FEW = 2000;

const COLUMNS = `id, user_id AS "userId", status, total_amount AS "totalAmount", currency, reservation_id AS "reservationId",
    version, created_at AS "createdAt", updated_at AS "updatedAt"`;

/** At most `count` orders after a position, in the order of `sort`. One statement. */
export function findOrders(
  manager: EntityManager,
  filters: OrderFilters,
  count: number,
  after: Position | undefined,
): Promise<Order[]> {
  const { sql, values } = ordersQuery(filters, count, after);
  return manager.query<Order[]>(sql, values);
}

/**
 * The statement of `findOrders`. A range of the column that the list is not sorted by has a trap: where few orders lie in
 * it, following the sort order to find them can mean to read the whole table, and the planner cannot see it coming
 * (what was ordered yesterday is hardly ever delivered). So the range is counted first, up to a limit, and one of two
 * ways is taken: the other is not even begun.
 */
export function ordersQuery(
  filters: OrderFilters,
  count: number,
  after: Position | undefined,
): { sql: string; values: unknown[] } {
  const values: unknown[] = [];
  const bind = (value: unknown): string => `$${values.push(value)}`;
  const { column, direction } = SORT_ORDERS[filters.sort];
  const { owner, status, ...ranges } = conditionsOf(filters, bind);
  const sign = direction === 'ASC' ? '>' : '<';
  const position = after ? [`(${column}, id) ${sign} (${bind(after.value)}, ${bind(after.id)})`] : [];
  const all = [...owner, ...status, ...ranges.created_at, ...ranges.total_amount, ...position];
  const page = (order: string, ...also: string[]): string =>
    `SELECT ${COLUMNS} FROM orders ${where([...all, ...also])}
     ORDER BY ${order} ${direction}, id ${direction} LIMIT ${bind(count)}`;
  const other = column === 'created_at' ? 'total_amount' : 'created_at';
  if (ranges[other].length === 0) {
    return { sql: page(column), values };
  }
  // There is an index for one status by time, and none for one by value.
  const indexed = other === 'created_at' && filters.status?.length === 1 ? status : [];
  const isFew = `(SELECT orders FROM in_range) <= ${FEW}`;
  const ways = [page(`${column} + ${NOTHING[column]}`, isFew), page(column, `NOT ${isFew}`)];
  const shown = column === 'created_at' ? '"createdAt"' : '"totalAmount"';
  const sql = `
    WITH in_range AS MATERIALIZED (
      SELECT count(*) AS orders FROM (
        SELECT FROM orders ${where([...owner, ...indexed, ...ranges[other]])} ORDER BY ${other} LIMIT ${FEW + 1}
      ) AS counted
    )
    SELECT * FROM ((${ways.join(') UNION ALL (')})) AS page ORDER BY ${shown} ${direction}, id ${direction}`;
  return { sql, values };
}

type Conditions = Record<'owner' | 'status' | 'created_at' | 'total_amount', string[]>;

function conditionsOf(filters: OrderFilters, bind: (value: unknown) => string): Conditions {
  const given = <T>(value: T | undefined, condition: (value: T) => string): string[] =>
    value === undefined ? [] : [condition(value)];
  const { start, end } = boundsOf(filters);
  return {
    owner: given(filters.user_id, (id) => `user_id = ${bind(id)}`),
    status: given(filters.status, (several) => `status IN (${several.map(bind).join(', ')})`),
    created_at: [
      ...given(start, (at) => `created_at >= ${bind(at)}`),
      ...given(end, (at) => `created_at <= ${bind(at)}`),
    ],
    total_amount: [
      ...given(filters.min_total, (total) => `total_amount >= ${bind(total)}`),
      ...given(filters.max_total, (total) => `total_amount <= ${bind(total)}`),
    ],
  };
}

/** Added to a column that is sorted by, it keeps the order and hides that there is an index for it. */
const NOTHING = { created_at: "interval '0'", total_amount: '0' };

function where(conditions: readonly string[]): string {
  return conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
}

/** The items of all these orders. One statement. */
export async function findItems(manager: EntityManager, orderIds: string[]): Promise<Map<string, OrderItem[]>> {
  const items = await manager.find(OrderItem, {
    where: { orderId: In(orderIds) },
    order: { productId: 'ASC', warehouseId: 'ASC' },
  });
  return groupBy(items, (item) => item.orderId);
}

/** An order as it is now, as the API answers it. */
export async function answerOrder(manager: EntityManager, id: string): Promise<Answer<OrderResponse>> {
  return answerWithItems(manager, await manager.findOneByOrFail(Order, { id }));
}

/** Orders as they are now, by id, as the API answers them. Two statements. */
export async function answerOrders(manager: EntityManager, ids: string[]): Promise<Map<string, Answer<OrderResponse>>> {
  const orders = await manager.findBy(Order, { id: In(ids) });
  const items = await findItems(manager, ids);
  return new Map(
    orders.map((order) => [
      order.id,
      new Answer(toOrderResponse(order, items.get(order.id) ?? []), { version: order.version }),
    ]),
  );
}

/** An order that was read already, as the API answers it: with its version in the ETag. */
export async function answerWithItems(manager: EntityManager, order: Order): Promise<Answer<OrderResponse>> {
  const items = await findItems(manager, [order.id]);
  return new Answer(toOrderResponse(order, items.get(order.id) ?? []), { version: order.version });
}

/** @throws NotFound, whether there is no such order or it is someone else's */
export function assertMayUse(order: Order | null, id: string, caller: UserActor): asserts order is Order {
  if (!order || !(order.userId === caller.id || isAdmin(caller))) {
    throw new NotFound('order', id);
  }
}
