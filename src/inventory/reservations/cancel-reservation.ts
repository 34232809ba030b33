import type { Command } from '../../platform/batching/command';
import { Answer } from '../../platform/http/answer';
import type { UserActor } from '../../platform/security/actor';
import { ENDINGS, type Needs, type Snapshot } from '../commands/snapshot';
import { assertActive, assertMayUse, endReservation, lockedReservation } from './reservation.changes';
import { toReservationResponse } from './reservations.dto';

interface CancelRequest {
  readonly reservationId: string;
  readonly caller: UserActor;
}

/**
 * Cancels a reservation and its pending order, if it has one, and makes the stock available again.
 * @throws NotFound, ReservationNotActive
 */
export const cancelReservation: Command<CancelRequest, Needs, Snapshot> = {
  orderingKeys: () => [ENDINGS],
  needs: ({ reservationId }) => ({ reservations: [reservationId], movesStock: true }),

  check({ reservations }, { reservationId, caller }) {
    assertMayUse(reservations.get(reservationId), reservationId, caller);
  },

  decide(snapshot, { reservationId }) {
    const { now, orders } = snapshot;
    const reservation = lockedReservation(snapshot, reservationId);
    assertActive(reservation, now);
    const { ended, changes } = endReservation(snapshot, reservation, 'cancelled');
    const cancelled = orders.cancelPending(ended.orderId, 'the reservation was cancelled', now);
    return { changes: [...changes, ...cancelled], answer: new Answer(toReservationResponse(ended)) };
  },
};
