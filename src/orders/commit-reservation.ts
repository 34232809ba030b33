import { ENDINGS, type Needs, type Snapshot } from '../inventory/commands/snapshot';
import {
  assertActive,
  assertMayUse,
  endReservation,
  lockedReservation,
} from '../inventory/reservations/reservation.changes';
import type { Command } from '../platform/batching/command';
import type { UserActor } from '../platform/security/actor';
import type { LoadedOrders } from './loaded-orders';
import { type OrderCreated, statusChanged } from './order.changes';
import { assertTransition } from './order-state';
import { answerNewOrder } from './orders.query';
import { pendingOrder } from './place-order';

interface CommitRequest {
  readonly reservationId: string;
  readonly caller: UserActor;
  /** The id for a new order, if the reservation has none; it stays the same for every try. */
  readonly orderId: string;
}

/**
 * Turns a reservation into a confirmed order, its own pending one if it has one, and deducts the stock.
 * @throws NotFound, ReservationNotActive
 */
export const commitReservation: Command<CommitRequest, Needs, Snapshot<LoadedOrders>> = {
  orderingKeys: () => [ENDINGS],
  needs: ({ reservationId }) => ({ reservations: [reservationId], movesStock: true }),

  check({ reservations }, { reservationId, caller }) {
    assertMayUse(reservations.get(reservationId), reservationId, caller);
  },

  decide(snapshot, { reservationId, orderId }) {
    const { now, orders } = snapshot;
    const held = lockedReservation(snapshot, reservationId);
    assertActive(held, now);
    const { ended, changes } = endReservation(snapshot, { ...held, orderId: held.orderId ?? orderId }, 'committed');
    const own = held.orderId === null ? undefined : orders.get(held.orderId);
    const order = own ?? pendingOrder(ended);
    const created: OrderCreated[] = own ? [] : [{ type: 'order.created', order }];
    assertTransition(order.status, 'confirmed');
    const confirmed = statusChanged(order, 'confirmed', null, now);
    return { changes: [...created, ...changes, confirmed], answer: answerNewOrder(confirmed.order) };
  },
};
