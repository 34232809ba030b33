import { type EntityManager, In } from 'typeorm';
import { together } from '../platform/database/together';
import type { Tx } from '../platform/database/tx';
import { NotFound } from '../platform/errors/domain-errors';
import { groupBy } from '../platform/group-by';
import { Answer } from '../platform/http/answer';
import { isAdmin, type UserActor } from '../platform/security/actor';
import { cancelled } from './order-state';
import { Order, OrderItem, type OrderView } from './order.entity';
import { type OrderResponse, toOrderResponse } from './orders.dto';

/** What an `OrderView` has, of `orders`: one look-up of its items, and of its reservation while it is pending. */
export const ORDER_VIEW = `id, user_id AS "userId", status, total_amount AS "totalAmount", currency,
    reservation_id AS "reservationId", version, created_at AS "createdAt", updated_at AS "updatedAt", (
      SELECT expires_at FROM reservations WHERE reservations.id = orders.reservation_id AND orders.status = 'pending') AS "expiresAt", (
      SELECT coalesce(json_agg(json_build_object('productId', product_id, 'warehouseId', warehouse_id, 'sku', sku,
        'name', name, 'quantity', quantity, 'unitPrice', unit_price::text) ORDER BY product_id, warehouse_id), '[]')
      FROM order_items WHERE order_id = orders.id) AS items`;

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

/**
 * An order as it reads now: one that is still pending although its hold is over has been cancelled at the end of that, as
 * the sweep will write it. One statement.
 */
export async function findOrder(manager: EntityManager, id: string): Promise<OrderView | undefined> {
  const [row] = await manager.query<(OrderView & { now: Date })[]>(
    `SELECT ${ORDER_VIEW}, statement_timestamp() AS now FROM orders WHERE id = $1`,
    [id],
  );
  if (!row) {
    return undefined;
  }
  const { now, ...order } = row;
  const { expiresAt } = order;
  return expiresAt && expiresAt <= now ? { ...cancelled(order), updatedAt: expiresAt } : order;
}

/** Those of these locked orders that are still pending although their hold is over. */
export async function findOverdue(tx: Tx, ids: string[]): Promise<Set<string>> {
  const rows = await tx.query<{ id: string }[]>(
    `SELECT orders.id FROM orders JOIN reservations AS reservation ON reservation.id = orders.reservation_id
     WHERE orders.id = ANY($1) AND orders.status = 'pending' AND reservation.expires_at <= clock_timestamp()`,
    [ids],
  );
  return new Set(rows.map(({ id }) => id));
}

/** An order as the API answers it: with its version in the ETag. */
export function answerOrder(order: OrderView): Answer<OrderResponse> {
  return new Answer(toOrderResponse(order), { version: order.version });
}

/** @throws NotFound, whether there is no such order or it is someone else's */
export function assertMayUse<T extends Order>(
  order: T | null | undefined,
  id: string,
  caller: UserActor,
): asserts order is T {
  if (!order || !(order.userId === caller.id || isAdmin(caller))) {
    throw new NotFound('order', id);
  }
}
