import type { Command } from '../../platform/batching/command';
import { Answer } from '../../platform/http/answer';
import type { UserActor } from '../../platform/security/actor';
import type { Needs, Snapshot } from '../commands/snapshot';
import {
  assertActive,
  assertMayUse,
  assertTtl,
  lockedReservation,
  type ReservationChange,
} from './reservation.changes';
import { toReservationResponse } from './reservations.dto';

interface ExtendRequest {
  readonly reservationId: string;
  readonly caller: UserActor;
  readonly ttlSeconds: number;
  /** The longest total lifetime of a hold. */
  readonly maxTtlSeconds: number;
}

/**
 * Sets the end of a hold to so many seconds from now, at most to the end of its total lifetime.
 * @throws NotFound, ValidationFailed, ReservationNotActive
 */
export const extendReservation: Command<ExtendRequest, Needs, Snapshot> = {
  orderingKeys: ({ reservationId }) => [reservationId],
  needs: ({ reservationId }) => ({ reservations: [reservationId], movesStock: false }),

  check({ reservations }, { reservationId, caller, ttlSeconds, maxTtlSeconds }) {
    assertMayUse(reservations.get(reservationId), reservationId, caller);
    assertTtl(ttlSeconds, maxTtlSeconds);
  },

  decide(snapshot, { reservationId, ttlSeconds, maxTtlSeconds }) {
    const before = lockedReservation(snapshot, reservationId);
    const now = snapshot.now.getTime();
    assertActive(before, snapshot.now);
    const latest = before.createdAt.getTime() + maxTtlSeconds * 1000;
    const asked = Math.min(now + ttlSeconds * 1000, latest);
    // If the configured maximum was reduced meanwhile, an active hold does not end early.
    const expiresAt = asked > now ? new Date(asked) : before.expiresAt;
    const reservation = { ...before, expiresAt, updatedAt: snapshot.now };
    const extended: ReservationChange = { type: 'reservation.extended', before, reservation };
    return { changes: [extended], answer: new Answer(toReservationResponse(reservation)) };
  },
};
