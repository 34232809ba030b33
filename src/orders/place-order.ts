import type { Needs, Snapshot } from '../inventory/commands/snapshot';
import {
  assertActive,
  assertMayUse,
  lockedReservation,
  type ReservationChange,
} from '../inventory/reservations/reservation.changes';
import type { ReservationView } from '../inventory/reservations/reservation.entity';
import type { Command, Decision } from '../platform/batching/command';
import { Duplicate } from '../platform/errors/domain-errors';
import type { UserActor } from '../platform/security/actor';
import type { OrderCreated } from './order.changes';
import type { OrderView } from './order.entity';
import { answerNewOrder } from './orders.query';

interface PlaceOrderRequest {
  readonly reservationId: string;
  readonly caller: UserActor;
  /** The id for the new order; it stays the same for every try. */
  readonly orderId: string;
}

/**
 * Makes a pending order from a reservation, which stays active and now belongs to it.
 * @throws NotFound, ReservationNotActive, Duplicate if the reservation has an order
 */
export const placeOrder: Command<PlaceOrderRequest, Needs, Snapshot> = {
  orderingKeys: ({ reservationId }) => [reservationId],
  needs: ({ reservationId }) => ({ reservations: [reservationId], movesStock: false }),

  check({ reservations }, { reservationId, caller }) {
    assertMayUse(reservations.get(reservationId), reservationId, caller);
  },

  decide(snapshot, { reservationId, orderId }) {
    const { now } = snapshot;
    const held = lockedReservation(snapshot, reservationId);
    assertActive(held, now);
    if (held.orderId !== null) {
      throw new Duplicate('reservation_id', `The reservation belongs to order ${held.orderId} already`);
    }
    const reservation = { ...held, orderId, updatedAt: now };
    const attached: ReservationChange = { type: 'reservation.attached', reservation };
    const { changes, answer } = orderOf(reservation);
    return { changes: [attached, ...changes], answer };
  },
};

/** The pending order for a reservation that was made for it. */
export function orderOf(reservation: ReservationView): Decision {
  const order = pendingOrder(reservation);
  const created: OrderCreated = { type: 'order.created', order };
  return { changes: [created], answer: answerNewOrder(order) };
}

/** A new order from a reservation that has its `orderId`. */
export function pendingOrder({ id: reservationId, orderId, items, ...reservation }: ReservationView): OrderView {
  const { userId, totalAmount, currency, expiresAt, updatedAt: now } = reservation;
  return {
    id: orderId!,
    userId,
    status: 'pending',
    totalAmount,
    currency,
    reservationId,
    version: 1,
    expiresAt,
    createdAt: now,
    updatedAt: now,
    items,
  };
}
