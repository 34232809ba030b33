import { Injectable } from '@nestjs/common';
import { AuditService } from '../../audit/audit.service';
import { AppConfig } from '../../platform/config/app-config';
import { StaleRead } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { Duplicate, NotFound } from '../../platform/errors/domain-errors';
import { isAdmin, type UserActor } from '../../platform/security/actor';
import type { HeldReservation } from './hold-job';
import { ReservationExpiryHook } from './reservation-expiry-listener';
import { assertTtl } from './reservation-lines';
import { Reservation } from './reservation.entity';
import { assertActiveTx, lockReservation } from './reservation.locks';
import { findReservation } from './reservations.query';

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

  /** As `lockTx`. @throws also ReservationNotActive */
  async lockActiveTx(tx: Tx, id: string, caller: UserActor): Promise<Reservation> {
    const reservation = await this.lockTx(tx, id, caller);
    await assertActiveTx(tx, reservation);
    return reservation;
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
  if (!found || !(found.userId === caller.id || isAdmin(caller))) {
    throw new NotFound('reservation', id);
  }
}
