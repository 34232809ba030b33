import { type EntityManager, In, type SelectQueryBuilder } from 'typeorm';
import { NotFound } from '../platform/errors/domain-errors';
import { groupBy } from '../platform/group-by';
import { Answer } from '../platform/http/answer';
import type { Position } from '../platform/http/cursor';
import { whereBetween } from '../platform/http/date-range';
import { isAdmin, type UserActor } from '../platform/security/actor';
import { Order, OrderItem } from './order.entity';
import { type OrderResponse, type OrderSort, type OrdersQuery, toOrderResponse } from './orders.dto';

interface SortOrder {
  readonly column: 'createdAt' | 'totalAmount';
  readonly direction: 'ASC' | 'DESC';
}

/** Every order of the list is a total one: the id, which is unique, breaks ties. */
export const SORT_ORDERS: Readonly<Record<OrderSort, SortOrder>> = {
  newest: { column: 'createdAt', direction: 'DESC' },
  oldest: { column: 'createdAt', direction: 'ASC' },
  highest_value: { column: 'totalAmount', direction: 'DESC' },
  lowest_value: { column: 'totalAmount', direction: 'ASC' },
};

export type OrderFilters = Omit<OrdersQuery, 'limit' | 'cursor'>;

/** At most `count` orders after a position, in the order of `sort`. One statement. */
export function selectOrders(
  manager: EntityManager,
  filters: OrderFilters,
  count: number,
  after: Position | undefined,
): SelectQueryBuilder<Order> {
  const { column, direction } = SORT_ORDERS[filters.sort];
  const query = manager.createQueryBuilder(Order, 'o').orderBy(`o.${column}`, direction).addOrderBy('o.id', direction);
  if (filters.user_id !== undefined) {
    query.andWhere('o.userId = :userId', { userId: filters.user_id });
  }
  if (filters.status) {
    query.andWhere('o.status IN (:...status)', { status: filters.status });
  }
  whereBetween(query, 'o.createdAt', filters);
  if (filters.min_total !== undefined) {
    query.andWhere('o.totalAmount >= :minTotal', { minTotal: filters.min_total });
  }
  if (filters.max_total !== undefined) {
    query.andWhere('o.totalAmount <= :maxTotal', { maxTotal: filters.max_total });
  }
  if (after) {
    query.andWhere(`(o.${column}, o.id) ${direction === 'ASC' ? '>' : '<'} (:value, :id)`, after);
  }
  return query.limit(count);
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
