import { type EntityManager, In } from 'typeorm';
import { NotFound } from '../platform/errors/domain-errors';
import { groupBy } from '../platform/group-by';
import { Answer } from '../platform/http/answer';
import { isAdmin, type UserActor } from '../platform/security/actor';
import { Order, OrderItem } from './order.entity';
import { type OrderResponse, toOrderResponse } from './orders.dto';

/** The items of all these orders. One statement. */
async function findItems(manager: EntityManager, orderIds: string[]): Promise<Map<string, OrderItem[]>> {
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
