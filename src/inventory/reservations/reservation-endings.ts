import { Injectable } from '@nestjs/common';
import { In } from 'typeorm';
import { AuditService } from '../../audit/audit.service';
import type { Cause } from '../../platform/context/request-context';
import { databaseNow } from '../../platform/database/clock';
import { afterCommit } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { type DomainError, Overloaded, ReservationNotActive } from '../../platform/errors/domain-errors';
import { groupBy } from '../../platform/group-by';
import { Metrics } from '../../platform/metrics/metrics';
import { type Posting, StockLedger } from '../stock/stock-ledger';
import type { StockLevel } from '../stock/stock.entity';
import { keyOf, type LockOptions, lockLevels } from '../stock/stock.locks';
import type { Allotment } from './allocation';
import { ReservationExpiryHook } from './reservation-expiry-listener';
import { Reservation, ReservationItem, type ReservationStatus } from './reservation.entity';
import { assertActiveTx, inactivityOf, lockReservation } from './reservation.locks';

type Ending = Exclude<ReservationStatus, 'active'>;

/** What each ending does to the stock: how it is called in the ledger, and whether what was reserved is available again. */
const EFFECTS = {
  committed: { kind: 'commit', available: 0, reserved: -1 },
  cancelled: { kind: 'release', available: 1, reserved: -1 },
  expired: { kind: 'expire', available: 1, reserved: -1 },
} as const satisfies Record<Ending, Effect>;

/** How holds end, and what that does to the stock, inside a transaction that the caller opened. */
@Injectable()
export class ReservationEndings {
  constructor(
    private readonly ledger: StockLedger,
    private readonly audit: AuditService,
    private readonly hook: ReservationExpiryHook,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Turns what a reservation holds into sold. Locks it and its levels, and looks at the clock only then.
   * @throws ReservationNotActive, also if its time ended while this waited for a lock
   */
  async commitTx(tx: Tx, reservationId: string): Promise<void> {
    const reservation = (await lockReservation(tx, reservationId))!;
    const held = await lockHeldTx(tx, [reservation]);
    await assertActiveTx(tx, reservation);
    await this.endTx(tx, held, 'committed');
  }

  /**
   * Turns what many locked reservations hold into sold: of those that are still active when their levels are locked,
   * which this does. Says why the others are not: ReservationNotActive, or Overloaded if a level had to be skipped.
   */
  async commitAllTx(
    tx: Tx,
    reservations: readonly Reservation[],
    { attachTx, causeOf, ...options }: CommitPlan,
  ): Promise<Map<Reservation, DomainError>> {
    const { items, levels } = await lockHeldTx(tx, reservations, options);
    const now = await databaseNow(tx);
    const locked = new Set(levels.map(keyOf));
    const skipped = new Set(items.filter((item) => !locked.has(keyOf(item))).map((item) => item.reservationId));
    const refused = new Map<Reservation, DomainError>();
    for (const reservation of reservations) {
      const error = skipped.has(reservation.id) ? new Overloaded() : inactivityOf(reservation, now);
      if (error) {
        refused.set(reservation, error);
      }
    }
    const active = reservations.filter((reservation) => !refused.has(reservation));
    if (active.length > 0) {
      await attachTx(active, now);
      await this.endTx(tx, { reservations: active, items, levels }, 'committed', causeOf);
    }
    return refused;
  }

  /**
   * Gives back what a locked reservation holds, and cancels the pending order that it belongs to, which is locked too.
   * Locks its levels, and looks at the clock only then.
   * @throws ReservationNotActive
   */
  async cancelTx(tx: Tx, reservation: Reservation): Promise<void> {
    const held = await lockHeldTx(tx, [reservation]);
    await assertActiveTx(tx, reservation);
    await this.endTx(tx, held, 'cancelled');
    await this.hook.cancelOrdersTx(tx, ordersOf([reservation]), 'the reservation was cancelled');
  }

  /**
   * Gives back what is held for an order that its owner cancels; a hold whose time is over ends as expired. Locks the
   * reservation and its levels, and looks at the clock only then.
   * @throws ReservationNotActive
   */
  async releaseTx(tx: Tx, reservationId: string): Promise<void> {
    const reservation = (await lockReservation(tx, reservationId))!;
    const held = await lockHeldTx(tx, [reservation]);
    if (reservation.status !== 'active') {
      throw new ReservationNotActive(reservation.status);
    }
    const isOverdue = reservation.expiresAt <= (await databaseNow(tx));
    await this.endTx(tx, held, isOverdue ? 'expired' : 'cancelled');
  }

  /** Gives back what locked, overdue reservations hold, and cancels their pending orders, which are locked too. */
  async expireTx(tx: Tx, reservations: readonly Reservation[]): Promise<void> {
    await this.endTx(tx, await lockHeldTx(tx, reservations), 'expired');
    await this.hook.cancelOrdersTx(tx, ordersOf(reservations), 'the reservation expired');
  }

  /** Puts sold items back into the warehouses that they came from. Locks their levels. */
  async restockTx(
    tx: Tx,
    items: readonly Allotment[],
    cause: { reservationId: string; orderId: string },
  ): Promise<void> {
    const levels = await lockLevels(tx, items);
    await this.ledger.postTx(tx, levels, postings(items, { kind: 'restock', available: 1, reserved: 0 }, cause));
  }

  private async endTx(
    tx: Tx,
    { reservations, items, levels }: Held,
    status: Ending,
    causeOf: CommitPlan['causeOf'] = () => undefined,
  ): Promise<void> {
    const ids = reservations.map(({ id }) => id);
    const itemsOf = groupBy(items, (item) => item.reservationId);
    const moved = reservations.flatMap((reservation) => {
      const { id: reservationId, orderId } = reservation;
      const why = { reservationId, orderId: orderId ?? undefined, cause: causeOf(reservation) };
      return postings(itemsOf.get(reservationId) ?? [], EFFECTS[status], why);
    });
    await this.ledger.postTx(tx, levels, moved);
    await tx.update(Reservation, { id: In(ids) }, { status, updatedAt: () => 'clock_timestamp()' });
    await this.audit.recordTx(
      tx,
      ...reservations.map((reservation) => ({
        action: `reservation.${status}` as const,
        objectId: reservation.id,
        oldValue: {
          status: 'active',
          expires_at: reservation.expiresAt.toISOString(),
          order_id: reservation.orderId,
        },
        newValue: { status, order_id: reservation.orderId },
        cause: causeOf(reservation),
      })),
    );
    afterCommit(tx, () => this.metrics.reservations.inc({ outcome: status }, ids.length));
  }
}

/** How many reservations are committed at once. */
export interface CommitPlan extends LockOptions {
  /** Gives each of the reservations that has none its order, and notes it in `orderId`. */
  readonly attachTx: (reservations: readonly Reservation[], now: Date) => Promise<void>;
  /** Who commits it in which request; undefined if that is the context. */
  readonly causeOf: (reservation: Reservation) => Cause | undefined;
}

/** Reservations that are locked, with what they hold, and the levels of it, locked too. */
interface Held {
  reservations: readonly Reservation[];
  items: ReservationItem[];
  levels: StockLevel[];
}

async function lockHeldTx(tx: Tx, reservations: readonly Reservation[], options?: LockOptions): Promise<Held> {
  const items = await tx.findBy(ReservationItem, { reservationId: In(reservations.map(({ id }) => id)) });
  return { reservations, items, levels: await lockLevels(tx, items, options) };
}

/** What happens to one piece. */
type Effect = Pick<Posting, 'kind' | 'available' | 'reserved'>;
type Origin = Pick<Posting, 'reservationId' | 'orderId' | 'cause'>;

/** One posting for each item: the effect on one piece, times its quantity. */
function postings(items: readonly Allotment[], { kind, available, reserved }: Effect, origin: Origin): Posting[] {
  return items.map(({ productId, warehouseId, quantity }) => ({
    ...{ ...origin, kind, productId, warehouseId },
    available: available * quantity,
    reserved: reserved * quantity,
  }));
}

function ordersOf(reservations: readonly Reservation[]): string[] {
  return reservations.flatMap(({ orderId }) => orderId ?? []);
}
