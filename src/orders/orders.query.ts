import type { EntityManager } from 'typeorm';
import { prepared } from '../platform/database/prepared';
import { NotFound } from '../platform/errors/domain-errors';
import { Answer } from '../platform/http/answer';
import { isAdmin, type UserActor } from '../platform/security/actor';
import { cancelled } from './order-state';
import type { OrderView } from './order.entity';
import { type OrderResponse, toOrderResponse } from './orders.dto';

/** The columns of an `OrderView`: with one look-up of the items, and of the reservation while the order is pending. */
export const ORDER_VIEW = `id, user_id AS "userId", status, total_amount AS "totalAmount", currency,
    reservation_id AS "reservationId", version, created_at AS "createdAt", updated_at AS "updatedAt", (
      SELECT expires_at FROM reservations WHERE reservations.id = orders.reservation_id AND orders.status = 'pending') AS "expiresAt", (
      SELECT coalesce(json_agg(json_build_object('productId', product_id, 'warehouseId', warehouse_id, 'sku', sku,
        'name', name, 'quantity', quantity, 'unitPrice', unit_price::text) ORDER BY product_id, warehouse_id), '[]')
      FROM order_items WHERE order_id = orders.id) AS items`;

/** Orders as stored, by their ids or their reservations' ids. The statement is sent at once. */
export function findOrdersOf(
  manager: EntityManager,
  ids: readonly string[],
  reservationIds: readonly string[],
): Promise<OrderView[]> {
  const sql = `SELECT ${ORDER_VIEW} FROM orders WHERE id = ANY($1) OR reservation_id = ANY($2)`;
  return manager.query<OrderView[]>(prepared(sql), [ids, reservationIds]);
}

/**
 * An order as it reads now: if its hold is over but not yet swept, it reads as cancelled at the end of the hold, as the
 * sweep will write it. One statement.
 */
export async function findOrder(manager: EntityManager, id: string): Promise<OrderView | undefined> {
  const [row] = await manager.query<(OrderView & { now: Date })[]>(
    prepared(`SELECT ${ORDER_VIEW}, statement_timestamp() AS now FROM orders WHERE id = $1`),
    [id],
  );
  if (!row) {
    return undefined;
  }
  const { now, ...order } = row;
  const { expiresAt } = order;
  return expiresAt && expiresAt <= now ? { ...cancelled(order), updatedAt: expiresAt } : order;
}

/** An order as the API answers it: with its version in the ETag. */
export function answerOrder(order: OrderView): Answer<OrderResponse> {
  return new Answer(toOrderResponse(order), { version: order.version });
}

/** The answer for a new order: also with its path. */
export function answerNewOrder(order: OrderView): Answer<OrderResponse> {
  return new Answer(toOrderResponse(order), { version: order.version, location: `/api/orders/${order.id}` });
}

/** @throws NotFound, whether there is no such order or it is someone else's */
export function assertMayUseOrder<Found extends { userId: string }>(
  found: Found | null | undefined,
  id: string,
  caller: UserActor,
): asserts found is Found {
  if (!found || !(found.userId === caller.id || isAdmin(caller))) {
    throw new NotFound('order', id);
  }
}
