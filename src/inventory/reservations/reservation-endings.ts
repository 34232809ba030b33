import { Injectable } from '@nestjs/common';
import { In } from 'typeorm';
import { AuditService } from '../../audit/audit.service';
import { databaseNow } from '../../platform/database/clock';
import { lockRow } from '../../platform/database/rows.locks';
import { afterCommit } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { ReservationNotActive } from '../../platform/errors/domain-errors';
import { groupBy } from '../../platform/group-by';
import { Metrics } from '../../platform/metrics/metrics';
import { type Posting, StockLedger } from '../stock/stock-ledger';
import type { StockLevel } from '../stock/stock.entity';
import { lockLevels } from '../stock/stock.locks';
import type { Allotment } from './allocation';
import { ReservationExpiryHook } from './reservation-expiry-listener';
import { Reservation, ReservationItem, type ReservationStatus } from './reservation.entity';
import { assertActiveTx } from './reservation.locks';

type Ending = Exclude<ReservationStatus, 'active'>;

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
    const reservation = (await lockRow(tx, Reservation, reservationId))!;
    const { items, levels } = await lockHeldTx(tx, [reservation]);
    await assertActiveTx(tx, reservation);
    await this.ledger.postTx(
      tx,
      levels,
      postings(items, { ...causeOf(reservation), kind: 'commit', available: 0, reserved: -1 }),
    );
    await this.endTx(tx, [reservation], 'committed');
  }

  /**
   * Gives back what a locked reservation holds, and cancels the pending order that it belongs to, which is locked too.
   * @throws ReservationNotActive
   */
  async cancelTx(tx: Tx, reservation: Reservation): Promise<void> {
    const { items, levels } = await lockHeldTx(tx, [reservation]);
    await assertActiveTx(tx, reservation);
    await this.ledger.postTx(
      tx,
      levels,
      postings(items, { ...causeOf(reservation), kind: 'release', available: 1, reserved: -1 }),
    );
    await this.endTx(tx, [reservation], 'cancelled');
    await this.hook.cancelOrdersTx(
      tx,
      reservation.orderId === null ? [] : [reservation.orderId],
      'the reservation was cancelled',
    );
  }

  /** Gives back what is held for an order that its owner cancels; a hold whose time is over ends as expired. */
  async releaseTx(tx: Tx, reservationId: string): Promise<void> {
    const reservation = (await lockRow(tx, Reservation, reservationId))!;
    const { items, levels } = await lockHeldTx(tx, [reservation]);
    if (reservation.status !== 'active') {
      throw new ReservationNotActive(reservation.status);
    }
    const isOverdue = reservation.expiresAt <= (await databaseNow(tx));
    const kind = isOverdue ? 'expire' : 'release';
    await this.ledger.postTx(
      tx,
      levels,
      postings(items, { ...causeOf(reservation), kind, available: 1, reserved: -1 }),
    );
    await this.endTx(tx, [reservation], isOverdue ? 'expired' : 'cancelled');
  }

  /** Gives back what locked, overdue reservations hold, and cancels their pending orders, which are locked too. */
  async expireTx(tx: Tx, reservations: readonly Reservation[]): Promise<void> {
    const { items, levels } = await lockHeldTx(tx, reservations);
    const itemsOf = groupBy(items, (item) => item.reservationId);
    const given = reservations.flatMap((reservation) =>
      postings(itemsOf.get(reservation.id)!, { ...causeOf(reservation), kind: 'expire', available: 1, reserved: -1 }),
    );
    await this.ledger.postTx(tx, levels, given);
    await this.endTx(tx, reservations, 'expired');
    await this.hook.cancelOrdersTx(
      tx,
      reservations.flatMap(({ orderId }) => orderId ?? []),
      'the reservation expired',
    );
  }

  /** Puts sold items back into the warehouses that they came from. Locks their levels. */
  async restockTx(
    tx: Tx,
    items: readonly Allotment[],
    cause: { reservationId: string; orderId: string },
  ): Promise<void> {
    const levels = await lockLevels(tx, items);
    await this.ledger.postTx(tx, levels, postings(items, { ...cause, kind: 'restock', available: 1, reserved: 0 }));
  }

  private async endTx(tx: Tx, reservations: readonly Reservation[], status: Ending): Promise<void> {
    const ids = reservations.map(({ id }) => id);
    afterCommit(tx, () => this.metrics.reservations.inc({ outcome: status }, ids.length));
    await tx.update(Reservation, { id: In(ids) }, { status, updatedAt: () => 'clock_timestamp()' });
    await this.audit.recordTx(
      tx,
      ...reservations.map(({ id, orderId, expiresAt }) => ({
        action: `reservation.${status}` as const,
        objectId: id,
        oldValue: { status: 'active', expires_at: expiresAt.toISOString(), order_id: orderId },
        newValue: { status, order_id: orderId },
      })),
    );
  }
}

interface Held {
  items: ReservationItem[];
  levels: StockLevel[];
}

async function lockHeldTx(tx: Tx, reservations: readonly Reservation[]): Promise<Held> {
  const items = await tx.findBy(ReservationItem, { reservationId: In(reservations.map(({ id }) => id)) });
  return { items, levels: await lockLevels(tx, items) };
}

type Effect = Pick<Posting, 'kind' | 'available' | 'reserved' | 'reservationId' | 'orderId'>;

/** One posting for each item: the effect on one piece, times its quantity. */
function postings(items: readonly Allotment[], { available, reserved, ...cause }: Effect): Posting[] {
  return items.map(({ productId, warehouseId, quantity }) => ({
    ...cause,
    productId,
    warehouseId,
    available: available * quantity,
    reserved: reserved * quantity,
  }));
}

function causeOf({ id, orderId }: Reservation): Pick<Effect, 'reservationId' | 'orderId'> {
  return { reservationId: id, orderId: orderId ?? undefined };
}
