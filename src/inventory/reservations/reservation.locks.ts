import { databaseNow } from '../../platform/database/clock';
import { type LockOptions, lockRow } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';
import { ReservationNotActive } from '../../platform/errors/domain-errors';
import { Reservation } from './reservation.entity';

/** Locks a reservation. If it belongs to an order, that order must be locked already. */
export function lockReservation(tx: Tx, id: string): Promise<Reservation | null> {
  return lockRow(tx, Reservation, id);
}

/** Locks those of the reservations whose time is over, in the order of their ids. */
export function lockOverdue(tx: Tx, ids: string[], { skipLocked }: LockOptions): Promise<Reservation[]> {
  const query = tx
    .createQueryBuilder(Reservation, 'reservation')
    .setLock('pessimistic_write')
    .where('reservation.id = ANY(:ids)', { ids })
    .andWhere(`reservation.status = 'active' AND reservation.expiresAt <= clock_timestamp()`)
    .orderBy('reservation.id');
  return (skipLocked ? query.setOnLocked('skip_locked') : query).getMany();
}

/** Locks these reservations, in the order of their ids. The orders that they belong to must be locked already. */
export function lockReservations(tx: Tx, ids: string[], { skipLocked }: LockOptions): Promise<Reservation[]> {
  const query = tx
    .createQueryBuilder(Reservation, 'reservation')
    .setLock('pessimistic_write')
    .where('reservation.id = ANY(:ids)', { ids })
    .orderBy('reservation.id');
  return (skipLocked ? query.setOnLocked('skip_locked') : query).getMany();
}

/**
 * The database's time, if a locked reservation is still active at it. To be asked after the last wait for a lock.
 * @throws ReservationNotActive
 */
export async function assertActiveTx(tx: Tx, reservation: Reservation): Promise<Date> {
  const now = await databaseNow(tx);
  const error = inactivityOf(reservation, now);
  if (error) {
    throw error;
  }
  return now;
}

/** Why a locked reservation is not active at this time; undefined if it is. */
export function inactivityOf({ status, expiresAt }: Reservation, now: Date): ReservationNotActive | undefined {
  if (status !== 'active') {
    return new ReservationNotActive(status);
  }
  return expiresAt <= now ? new ReservationNotActive('expired') : undefined;
}
