import { Injectable } from '@nestjs/common';
import { In } from 'typeorm';
import { AuditService } from '../../audit/audit.service';
import { AppConfig } from '../../platform/config/app-config';
import { StaleRead } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { Duplicate, NotFound } from '../../platform/errors/domain-errors';
import { isAdmin, type UserActor } from '../../platform/security/actor';
import type { LockOptions } from '../stock/stock.locks';
import type { HeldReservation } from './hold-job';
import { ReservationExpiryHook } from './reservation-expiry-listener';
import { assertTtl } from './reservation-lines';
import { Reservation } from './reservation.entity';
import { assertActiveTx, lockReservation, lockReservations } from './reservation.locks';
import { findReservation, findReservationsById } from './reservations.query';

const ATTACH = `
  UPDATE reservations SET order_id = attached.order_id, updated_at = attached.updated_at
  FROM json_populate_recordset(NULL::reservations, $1) AS attached WHERE reservations.id = attached.id`;

/** What becomes of holds while they last, inside a transaction that the caller opened. */
@Injectable()
export class ReservationHolds {
  constructor(
    private readonly config: AppConfig,
    private readonly audit: AuditService,
    private readonly hook: ReservationExpiryHook,
  ) {}

  /**
   * Locks a reservation, after the order that it belongs to.
   * @throws NotFound, also for someone else's; StaleRead if it came to belong to an order meanwhile
   */
  async lockTx(tx: Tx, id: string, caller: UserActor): Promise<Reservation> {
    const seen = await tx.findOneBy(Reservation, { id });
    assertMayUse(seen, id, caller);
    await this.hook.lockOrdersTx(tx, seen.orderId === null ? [] : [seen.orderId], { skipLocked: false });
    const locked = await lockReservation(tx, id);
    if (locked?.orderId !== seen.orderId) {
      throw new StaleRead();
    }
    return locked;
  }

  /**
   * Locks many reservations after the orders that they belong to: those that there are and `mayUse` lets through. Says
   * which of them were skipped because another transaction has them, or their orders, locked.
   * @throws StaleRead if one came to belong to an order meanwhile
   */
  async lockAllTx(
    tx: Tx,
    ids: string[],
    mayUse: (seen: Reservation) => boolean,
    options: LockOptions,
  ): Promise<{ locked: Reservation[]; skipped: string[] }> {
    const seen = (await tx.findBy(Reservation, { id: In(ids) })).filter(mayUse);
    const orderIds = seen.flatMap(({ orderId }) => orderId ?? []);
    const orders = await this.hook.lockOrdersTx(tx, orderIds, options);
    const free = seen.filter(({ orderId }) => orderId === null || orders.has(orderId));
    const locked = await lockReservations(
      tx,
      free.map(({ id }) => id),
      options,
    );
    const seenOrders = new Map(seen.map(({ id, orderId }) => [id, orderId]));
    if (locked.some(({ id, orderId }) => seenOrders.get(id) !== orderId)) {
      throw new StaleRead();
    }
    const lockedIds = new Set(locked.map(({ id }) => id));
    return { locked, skipped: seen.map(({ id }) => id).filter((id) => !lockedIds.has(id)) };
  }

  /** Lets locked, active reservations belong to the orders that they name already. Gives them with their items. */
  async attachAllTx(tx: Tx, reservations: readonly Reservation[], now: Date): Promise<HeldReservation[]> {
    const rows = reservations.map(({ id, orderId }) => ({ id, order_id: orderId, updated_at: now }));
    await tx.query(ATTACH, [JSON.stringify(rows)]);
    return findReservationsById(
      tx,
      rows.map(({ id }) => id),
    );
  }

  /**
   * Lets a locked, active reservation belong to an order.
   * @throws ReservationNotActive, Duplicate if it belongs to one already
   */
  async attachTx(tx: Tx, reservation: Reservation, orderId: string): Promise<HeldReservation> {
    const now = await assertActiveTx(tx, reservation);
    if (reservation.orderId !== null) {
      throw new Duplicate('reservation_id', `The reservation belongs to order ${reservation.orderId} already`);
    }
    await tx.update(Reservation, { id: reservation.id }, { orderId, updatedAt: now });
    return (await findReservation(tx, reservation.id))!;
  }

  /**
   * Lets a locked reservation end so many seconds from now, but not past its lifetime in all.
   * @throws ReservationNotActive, ValidationFailed
   */
  async extendTx(tx: Tx, reservation: Reservation, ttlSeconds: number): Promise<void> {
    assertTtl(ttlSeconds, this.config.reservationMaxTtlSeconds);
    const now = await assertActiveTx(tx, reservation);
    const latest = reservation.createdAt.getTime() + this.config.reservationMaxTtlSeconds * 1000;
    const asked = Math.min(now.getTime() + ttlSeconds * 1000, latest);
    // A lifetime that was configured shorter meanwhile ends no hold that is running.
    const expiresAt = asked > now.getTime() ? new Date(asked) : reservation.expiresAt;
    await tx.update(Reservation, { id: reservation.id }, { expiresAt, updatedAt: now });
    await this.audit.recordTx(tx, {
      action: 'reservation.extended',
      objectId: reservation.id,
      oldValue: { expires_at: reservation.expiresAt.toISOString() },
      newValue: { expires_at: expiresAt.toISOString() },
    });
  }
}

/** @throws NotFound, whether there is no such reservation or it is someone else's */
export function assertMayUse<T extends { userId: string }>(
  found: T | null | undefined,
  id: string,
  caller: UserActor,
): asserts found is T {
  if (!found || !mayUse(found, caller)) {
    throw new NotFound('reservation', id);
  }
}

export function mayUse({ userId }: { userId: string }, caller: UserActor): boolean {
  return userId === caller.id || isAdmin(caller);
}
