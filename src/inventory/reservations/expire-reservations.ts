import type { EntityManager } from 'typeorm';
import type { Command } from '../../platform/batching/command';
import { Answer } from '../../platform/http/answer';
import { ENDINGS, type Needs, type Snapshot } from '../commands/snapshot';
import { endReservation, lockedReservation } from './reservation.changes';

/** Small enough that a level is never locked for long, large enough that a backlog is cleared in seconds. */
const PAGE = 200;

/** `statement_timestamp()` is exact enough here, and the index on `expires_at` can serve it. */
const OVERDUE = `
  SELECT reservation.id, reservation.expires_at AS "expiresAt",
    extract(epoch FROM statement_timestamp() - reservation.expires_at)::float8 AS lag
  FROM reservations AS reservation
  WHERE reservation.status = 'active' AND reservation.expires_at <= statement_timestamp()
    AND ($1::uuid[] IS NULL OR EXISTS (
      SELECT FROM reservation_items AS item WHERE item.reservation_id = reservation.id AND item.product_id = ANY($1)))
    AND ($2::timestamptz IS NULL OR (reservation.expires_at, reservation.id) > ($2, $3::uuid))
  ORDER BY reservation.expires_at, reservation.id LIMIT ${PAGE}`;

const NEXT_END = `
  SELECT 1000 * extract(epoch FROM expires_at - statement_timestamp())::float8 AS "timeLeft" FROM reservations
  WHERE status = 'active' AND expires_at <= statement_timestamp() + $1 * interval '1 millisecond' AND id <> ALL($2::uuid[])
  ORDER BY expires_at LIMIT 1`;

/** A hold that is over but not yet swept. */
export interface Overdue {
  readonly id: string;
  readonly expiresAt: Date;
  /** Seconds since its end. */
  readonly lag: number;
}

/** A page of overdue holds, after the given one, of these products or of all. */
export function findOverdue(
  manager: EntityManager,
  productIds: readonly string[] | undefined,
  after?: Overdue,
): Promise<Overdue[]> {
  return manager.query<Overdue[]>(OVERDUE, [productIds ?? null, after?.expiresAt ?? null, after?.id ?? null]);
}

/** Milliseconds until the next hold ends, apart from excluded ones; undefined if none ends within `most`. */
export async function findTimeLeft(
  manager: EntityManager,
  most: number,
  except: readonly string[],
): Promise<number | undefined> {
  const [next] = await manager.query<{ timeLeft: number }[]>(NEXT_END, [most, except]);
  return next?.timeLeft;
}

/** Whether the command expired the hold: not if it was extended or has ended meanwhile. */
export interface Expired {
  readonly isExpired: boolean;
}

/** Ends an overdue hold and cancels its pending order. */
export const expireReservation: Command<Pick<Overdue, 'id'>, Needs, Snapshot> = {
  orderingKeys: () => [ENDINGS],
  needs: ({ id }) => ({ reservations: [id], movesStock: true }),

  check: () => undefined,

  decide(snapshot, { id }) {
    const { now, orders, reservations } = snapshot;
    const reservation = reservations.has(id) ? lockedReservation(snapshot, id) : undefined;
    if (reservation?.status !== 'active' || reservation.expiresAt > now) {
      return { changes: [], answer: new Answer<Expired>({ isExpired: false }) };
    }
    const { ended, changes } = endReservation(snapshot, reservation, 'expired');
    const cancelled = orders.cancelPending(ended.orderId, 'the reservation expired', ended.updatedAt);
    return { changes: [...changes, ...cancelled], answer: new Answer<Expired>({ isExpired: true }) };
  },
};
