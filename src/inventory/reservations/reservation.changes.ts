import type { Change } from '../../platform/batching/command';
import { LookAgain } from '../../platform/batching/in-parts';
import { NotFound, ReservationNotActive, StockLevelFull, ValidationFailed } from '../../platform/errors/domain-errors';
import { isAdmin, type UserActor } from '../../platform/security/actor';
import type { Snapshot } from '../commands/snapshot';
import { type Move, moveStock, type StockMoved } from '../stock/stock-move';
import { LEVEL_CAPACITY } from '../stock/stock.entity';
import type { Reservation, ReservationStatus, ReservationView } from './reservation.entity';

/** How a hold ends. */
export type Ending = Exclude<ReservationStatus, 'active'>;

/** A change of a reservation, with the reservation as it is afterwards. */
export type ReservationChange =
  | ChangeTo<'reservation.created'>
  /** It now belongs to an order. */
  | ChangeTo<'reservation.attached'>
  | (ChangeTo<'reservation.extended'> & { readonly before: ReservationView })
  | (ChangeTo<'reservation.ended'> & { readonly before: ReservationView; readonly as: Ending });

interface ChangeTo<Type extends string> extends Change {
  readonly type: Type;
  readonly reservation: ReservationView;
}

export function isReservationChange<C extends Change>(change: C): change is C & ReservationChange {
  return change.type.startsWith('reservation.');
}

/** What each ending does to the pieces of a hold: the kind of movement, and where the pieces go. */
const EFFECTS = {
  committed: { kind: 'commit', available: 0 },
  cancelled: { kind: 'release', available: 1 },
  expired: { kind: 'expire', available: 1 },
} as const satisfies Record<Ending, Pick<Move, 'kind' | 'available'>>;

/** @throws NotFound, whether there is no such reservation or it is someone else's */
export function assertMayUse<Found extends { userId: string }>(
  found: Found | null | undefined,
  id: string,
  caller: UserActor,
): asserts found is Found {
  if (!found || !(found.userId === caller.id || isAdmin(caller))) {
    throw new NotFound('reservation', id);
  }
}

/** @throws ValidationFailed if a hold would last longer than the configured maximum */
export function assertTtl(ttlSeconds: number, max: number): void {
  if (ttlSeconds > max) {
    throw new ValidationFailed({
      field: 'ttl_seconds',
      message: `ttl_seconds must be a whole number from 1 to ${max}`,
    });
  }
}

/**
 * A locked reservation whose order, if it has one, is locked too.
 * @throws LookAgain if it has been attached to an order since it was read
 */
export function lockedReservation({ reservations, orders }: Snapshot, id: string): ReservationView {
  const reservation = reservations.get(id)!;
  if (reservation.orderId !== null && !orders.has(reservation.orderId)) {
    throw new LookAgain();
  }
  return reservation;
}

/** A hold is valid while the clock is before `expires_at`. @throws ReservationNotActive */
export function assertActive({ status, expiresAt }: Reservation, now: Date): void {
  if (status !== 'active') {
    throw new ReservationNotActive(status);
  }
  if (expiresAt <= now) {
    throw new ReservationNotActive('expired');
  }
}

/** The changes that end a hold: the ended reservation, and the moves of its pieces. */
export function endReservation(
  { stock, now }: Snapshot,
  before: ReservationView,
  as: Ending,
): { ended: ReservationView; changes: (ReservationChange | StockMoved)[] } {
  // An expired hold ended at `expires_at`, whenever that is written, so it reads the same before and after the sweep.
  const ended: ReservationView = { ...before, status: as, updatedAt: as === 'expired' ? before.expiresAt : now };
  const { kind, available } = EFFECTS[as];
  const moves = before.items.map((item) =>
    moveStock(stock.level(item)!, {
      kind,
      available: available * item.quantity,
      reserved: -item.quantity,
      reservationId: before.id,
      orderId: before.orderId,
    }),
  );
  return { ended, changes: [{ type: 'reservation.ended', before, reservation: ended, as }, ...moves] };
}

/** Puts sold pieces back into the warehouses that they came from. @throws StockLevelFull */
export function restock({ stock }: Snapshot, { id: reservationId, orderId, items }: ReservationView): StockMoved[] {
  const full = items.flatMap((item) => {
    const room = LEVEL_CAPACITY - stock.level(item)!.total;
    const { productId: product_id, warehouseId: warehouse_id, quantity } = item;
    return quantity > room ? { product_id, warehouse_id, quantity, room } : [];
  });
  if (full.length > 0) {
    throw new StockLevelFull(full);
  }
  return items.map((item) =>
    moveStock(stock.level(item)!, {
      kind: 'restock',
      available: item.quantity,
      reserved: 0,
      reservationId,
      orderId,
    }),
  );
}
