import { type EntityManager, In } from 'typeorm';
import { together } from '../platform/database/together';
import { NotFound } from '../platform/errors/domain-errors';
import { groupBy } from '../platform/group-by';
import { Answer } from '../platform/http/answer';
import { isAdmin, type UserActor } from '../platform/security/actor';
import { Order, OrderItem } from './order.entity';
import { type OrderResponse, toOrderResponse } from './orders.dto';

export interface WholeOrder {
  readonly order: Order;
  readonly items: readonly OrderItem[];
}

/** The items of all these orders. One statement. */
export async function findItems(manager: EntityManager, orderIds: string[]): Promise<Map<string, OrderItem[]>> {
  const items = await manager.find(OrderItem, {
    where: { orderId: In(orderIds) },
    order: { productId: 'ASC', warehouseId: 'ASC' },
  });
  return groupBy(items, (item) => item.orderId);
}

/** Those of these orders that there are, in no order. */
export async function findWholeOrders(manager: EntityManager, ids: string[]): Promise<WholeOrder[]> {
  if (ids.length === 0) {
    return [];
  }
  const [orders, items] = await together([manager.findBy(Order, { id: In(ids) }), findItems(manager, ids)]);
  return orders.map((order) => ({ order, items: items.get(order.id) ?? [] }));
}

/** An order as the API answers it: with its version in the ETag. */
export function answerOrder({ order, items }: WholeOrder): Answer<OrderResponse> {
  return new Answer(toOrderResponse(order, items), { version: order.version });
}

/** @throws NotFound, whether there is no such order or it is someone else's */
export function assertMayUse(order: Order | null | undefined, id: string, caller: UserActor): asserts order is Order {
  if (!order || !(order.userId === caller.id || isAdmin(caller))) {
    throw new NotFound('order', id);
  }
}
