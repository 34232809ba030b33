import { Injectable } from '@nestjs/common';
import { In } from 'typeorm';
import { AuditService } from '../../audit/audit.service';
import { AppConfig } from '../../platform/config/app-config';
import { databaseNow } from '../../platform/database/clock';
import type { LockOptions } from '../../platform/database/rows.locks';
import { together } from '../../platform/database/together';
import { commitWith, StaleRead } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { type DomainError, Duplicate, NotFound, Overloaded } from '../../platform/errors/domain-errors';
import { isAdmin, type UserActor } from '../../platform/security/actor';
import type { HeldReservation } from './hold-job';
import type { Refusals } from './reservation-endings';
import { type LockedOrders, ReservationExpiryHook } from './reservation-expiry-listener';
import type { ReservationJob } from './reservation-lanes';
import { assertTtl } from './reservation-lines';
import { Reservation } from './reservation.entity';
import { assertActiveTx, inactivityOf, lockReservation, lockReservations } from './reservation.locks';
import { findItems, withItems } from './reservations.query';

const ATTACH = `
  UPDATE reservations SET order_id = attached.order_id, updated_at = $3
  FROM unnest($1::uuid[], $2::uuid[]) AS attached (id, order_id) WHERE reservations.id = attached.id`;

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
   * Locks the reservations of many jobs after the orders that they belong to. Says why some could not be: NotFound, also
   * for someone else's, or Overloaded if another transaction has them, or their orders, locked and those are skipped.
   * @throws StaleRead if one came to belong to an order meanwhile
   */
  async lockAllTx(
    tx: Tx,
    jobs: readonly ReservationJob[],
    options: LockOptions,
  ): Promise<{ locked: HeldReservation[]; orders: LockedOrders; refused: Refusals }> {
    const callers = new Map(jobs.map(({ reservationId, caller }) => [reservationId, caller]));
    const ids = [...callers.keys()];
    const [all, items] = await together([tx.findBy(Reservation, { id: In(ids) }), findItems(tx, ids)]);
    const seen = all.filter((reservation) => mayUse(reservation, callers.get(reservation.id)!));
    const orderIds = seen.flatMap(({ orderId }) => orderId ?? []);
    const orders = await this.hook.lockOrdersTx(tx, orderIds, options);
    const free = seen.filter(({ orderId }) => orderId === null || orders.ids.has(orderId));
    const locked = await lockReservations(
      tx,
      free.map(({ id }) => id),
      options,
    );
    const seenOrders = new Map(seen.map(({ id, orderId }) => [id, orderId]));
    if (locked.some(({ id, orderId }) => seenOrders.get(id) !== orderId)) {
      throw new StaleRead();
    }
    const refused = new Map<string, DomainError>();
    callers.forEach((_, id) =>
      refused.set(id, seenOrders.has(id) ? new Overloaded() : new NotFound('reservation', id)),
    );
    locked.forEach(({ id }) => refused.delete(id));
    return { locked: withItems(locked, items), orders, refused };
  }

  /**
   * The time, and why some of these locked reservations cannot come to belong to an order then: ReservationNotActive, or
   * Duplicate if one belongs to an order already.
   */
  async judgeAttachingTx(tx: Tx, reservations: readonly Reservation[]): Promise<{ now: Date; refused: Refusals }> {
    const now = await databaseNow(tx);
    const refused = new Map<string, DomainError>();
    for (const reservation of reservations) {
      const error = inactivityOf(reservation, now) ?? ownershipOf(reservation);
      if (error) {
        refused.set(reservation.id, error);
      }
    }
    return { now, refused };
  }

  /**
   * Lets reservations, which may, belong to orders that are yet to be made, with the ids that `newId` gives: sends that, to
   * be committed with.
   */
  attach<Held extends Reservation>(tx: Tx, reservations: readonly Held[], now: Date, newId: () => string): Held[] {
    const attached = reservations.map((one) => ({ ...one, orderId: newId(), updatedAt: now }));
    if (attached.length > 0) {
      const values = [attached.map(({ id }) => id), attached.map(({ orderId }) => orderId), now];
      commitWith(tx, [tx.query(ATTACH, values)]);
    }
    return attached;
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

function ownershipOf({ orderId }: Reservation): Duplicate | undefined {
  return orderId === null
    ? undefined
    : new Duplicate('reservation_id', `The reservation belongs to order ${orderId} already`);
}

function mayUse({ userId }: { userId: string }, caller: UserActor): boolean {
  return userId === caller.id || isAdmin(caller);
}
