import { Injectable } from '@nestjs/common';
import type { AuditEntry } from '../../audit/audit-action';
import { AuditService } from '../../audit/audit.service';
import type { Cause } from '../../platform/context/request-context';
import { insertRows, rowsOf } from '../../platform/database/insert-rows';
import { commitWith } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { groupBy } from '../../platform/group-by';
import type { Answer } from '../../platform/http/answer';
import { IdempotencyKeys } from '../../platform/idempotency/idempotency-keys';
import { type Posting, StockLedger } from '../stock/stock-ledger';
import type { LockedLevels } from '../stock/stock.locks';
import type { Decision } from './hold-decision';
import { type HeldReservation, type HoldJob, type MadeHold } from './hold-job';
import { Reservation, ReservationItem } from './reservation.entity';
import { toReservationResponse } from './reservations.dto';
import type { HoldDraft } from './shelf';

interface Made extends MadeHold {
  readonly job: HoldJob;
  readonly cause: Cause;
}

/** Writes down what was decided for a batch of holds. */
@Injectable()
export class HoldWriter {
  constructor(
    private readonly ledger: StockLedger,
    private readonly audit: AuditService,
    private readonly keys: IdempotencyKeys,
  ) {}

  /**
   * Sends everything that the drafts become, one statement for each kind of thing, to be committed with: reservations
   * and their items, levels and movements, audit rows, what else is made of them, and the answers of the keys. Says
   * what each is answered. `levels` must be locked.
   */
  write(tx: Tx, { drafts, errors }: Decision, { levels, now }: LockedLevels): Map<HoldJob, Answer<object>> {
    // Where there is a draft, there are levels, and the time when they were locked.
    const made = [...drafts].map(([job, draft]) => ({
      job,
      cause: job.cause,
      reservation: toReservation(job, draft, now!),
    }));
    const reservations = made.map(({ reservation }) => reservation);
    const answers = writeSequels(tx, made);
    commitWith(tx, [
      insertRows(tx, rowsOf(Reservation, reservations), rowsOf(ReservationItem, reservations.flatMap(itemsOf))),
      this.ledger.postTx(tx, levels, made.flatMap(postingsOf)),
      this.audit.recordTx(tx, ...made.map(entryOf)),
    ]);
    this.keys.settle(tx, answers, [...errors.keys()]);
    return answers;
  }
}

function writeSequels(tx: Tx, made: readonly Made[]): Map<HoldJob, Answer<object>> {
  const answers = new Map<HoldJob, Answer<object>>();
  groupBy(made, ({ job }) => job.sequel).forEach((holds, sequel) => {
    const own = sequel.write(tx, holds);
    holds.forEach(({ job }, index) => answers.set(job, own[index]!));
  });
  return answers;
}

function toReservation(
  { id, userId, orderId, ttlSeconds }: HoldJob,
  { items, currency, totalAmount }: HoldDraft,
  now: Date,
): HeldReservation {
  const expiresAt = new Date(now.getTime() + ttlSeconds * 1000);
  return {
    ...{ id, userId, orderId, status: 'active', totalAmount, currency, items },
    ...{ expiresAt, createdAt: now, updatedAt: now },
  };
}

function itemsOf({ id, userId, items }: HeldReservation): ReservationItem[] {
  return items.map((item) => ({ ...item, reservationId: id, userId }));
}

function postingsOf({ reservation: { id, orderId, items }, cause }: Made): Posting[] {
  return items.map(({ productId, warehouseId, quantity }) => ({
    ...{ productId, warehouseId, kind: 'reserve', available: -quantity, reserved: quantity },
    ...{ reservationId: id, orderId: orderId ?? undefined, cause },
  }));
}

function entryOf({ reservation, cause }: Made): AuditEntry {
  const newValue = toReservationResponse(reservation);
  return { action: 'reservation.created', objectId: reservation.id, newValue, cause };
}
