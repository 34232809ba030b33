import { Injectable } from '@nestjs/common';
import type { AuditEntry, Purchase } from '../../audit/audit-action';
import type { Caused } from '../../platform/batching/command';
import { prepared } from '../../platform/database/prepared';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { Metrics } from '../../platform/metrics/metrics';
import type { ReservationChange } from './reservation.changes';
import { Reservation, ReservationItem, type ReservationView } from './reservation.entity';
import { toReservationResponse } from './reservations.dto';

const UPDATE = `
  UPDATE reservations
  SET status = new.status, order_id = new.order_id, expires_at = new.expires_at, updated_at = new.updated_at
  FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[], $5::timestamptz[])
    AS new (id, status, order_id, expires_at, updated_at)
  WHERE reservations.id = new.id`;

/** The only writer of reservations: turns changes into rows. */
@Injectable()
export class ReservationWriter {
  constructor(private readonly metrics: Metrics) {}

  /** Queues the rows of any changes. For existing reservations, only the last state is written. */
  write(unit: UnitOfWork, changes: readonly Caused<ReservationChange>[]): void {
    const created = changes.filter(({ type }) => type === 'reservation.created').map((one) => one.reservation);
    unit.insert(Reservation, created);
    unit.insert(ReservationItem, created.flatMap(itemsOf));
    const changed = changes.filter(({ type }) => type !== 'reservation.created').map((one) => one.reservation);
    this.update(unit, [...new Map(changed.map((one) => [one.id, one])).values()]);
    unit.afterCommit(() => changes.forEach((change) => this.count(change)));
  }

  private update(unit: UnitOfWork, reservations: readonly ReservationView[]): void {
    if (reservations.length > 0) {
      unit.execute(prepared(UPDATE), [
        reservations.map((one) => one.id),
        reservations.map((one) => one.status),
        reservations.map((one) => one.orderId),
        reservations.map((one) => one.expiresAt),
        reservations.map((one) => one.updatedAt),
      ]);
    }
  }

  private count(change: ReservationChange): void {
    if (change.type === 'reservation.created') {
      this.metrics.reservations.inc({ outcome: 'created' });
    } else if (change.type === 'reservation.ended') {
      this.metrics.reservations.inc({ outcome: change.as });
    }
  }
}

function itemsOf({ id, userId, items }: ReservationView): ReservationItem[] {
  return items.map((item) => ({ ...item, reservationId: id, userId }));
}

function purchaseOf({ userId, totalAmount, currency, items }: ReservationView): Purchase {
  const product_ids = [...new Set(items.map(({ productId }) => productId))];
  return { user_id: userId, total_amount: totalAmount, currency, product_ids };
}

/** The audit row of a change. Attaching an order has none here: the order's own audit row records it. */
export function auditOfReservation(change: Caused<ReservationChange>): AuditEntry | undefined {
  const { reservation, cause } = change;
  const objectId = reservation.id;
  switch (change.type) {
    case 'reservation.created':
      return { action: change.type, objectId, newValue: toReservationResponse(reservation), cause };
    case 'reservation.extended':
      return {
        action: change.type,
        objectId,
        oldValue: { expires_at: change.before.expiresAt.toISOString() },
        newValue: { expires_at: reservation.expiresAt.toISOString(), ...purchaseOf(reservation) },
        cause,
      };
    case 'reservation.ended': {
      const { status, expiresAt, orderId } = change.before;
      return {
        action: `reservation.${change.as}`,
        objectId,
        oldValue: { status, expires_at: expiresAt.toISOString(), order_id: orderId },
        newValue: { status: change.as, order_id: reservation.orderId, ...purchaseOf(reservation) },
        cause,
      };
    }
    case 'reservation.attached':
      return undefined;
  }
}
