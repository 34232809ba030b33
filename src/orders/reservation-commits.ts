import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { ReservationEndings } from '../inventory/reservations/reservation-endings';
import { mayUse, ReservationHolds } from '../inventory/reservations/reservation-holds';
import type { Cause } from '../platform/context/request-context';
import { together } from '../platform/database/together';
import type { Tx } from '../platform/database/tx';
import { NotFound, Overloaded } from '../platform/errors/domain-errors';
import type { BatchMode, Job, Verdict } from '../platform/group-commit/group-commit';
import { Answer } from '../platform/http/answer';
import { IdempotencyService } from '../platform/idempotency/idempotency.service';
import type { KeyedRequest } from '../platform/idempotency/idempotency-keys';
import type { UserActor } from '../platform/security/actor';
import { NewOrders } from './new-orders';
import { OrderLifecycle } from './order-lifecycle';
import { answerOrders } from './orders.query';

/** One request to commit a reservation, on its way through the lane; no two for one reservation go together. */
export interface CommitJob extends Job {
  readonly reservationId: string;
  readonly caller: UserActor;
  readonly keyed: KeyedRequest | undefined;
  readonly cause: Cause;
}

type CommitVerdict = Verdict<Answer<object>>;

/** Commits reservations into confirmed orders, many at a time. */
@Injectable()
export class ReservationCommits {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly holds: ReservationHolds,
    private readonly endings: ReservationEndings,
    private readonly lifecycle: OrderLifecycle,
    private readonly newOrders: NewOrders,
  ) {}

  /** All in one transaction. No two of the jobs may be for one reservation. */
  attempt(jobs: readonly CommitJob[], mode: BatchMode): Promise<CommitVerdict[]> {
    return this.idempotency.runAll(
      jobs,
      (tx, fresh) => this.commitTx(tx, fresh, { skipLocked: !mode.isPatient }),
      mode,
    );
  }

  /** Locks their orders, then the reservations, then the levels. */
  private async commitTx(
    tx: Tx,
    jobs: readonly CommitJob[],
    options: { skipLocked: boolean },
  ): Promise<Map<CommitJob, CommitVerdict>> {
    const jobOf = new Map(jobs.map((job) => [job.reservationId, job]));
    const causeOf = (reservationId: string): Cause => jobOf.get(reservationId)!.cause;
    const mayCommit = (seen: { id: string; userId: string }): boolean => mayUse(seen, jobOf.get(seen.id)!.caller);
    const { locked, skipped } = await this.holds.lockAllTx(tx, [...jobOf.keys()], mayCommit, options);
    const refused = await this.endings.commitAllTx(tx, locked, {
      attachTx: async (active, at) => {
        const alone = active.filter(({ orderId }) => orderId === null);
        alone.forEach((reservation) => (reservation.orderId = uuidv7()));
        const held = await this.holds.attachAllTx(tx, alone, at);
        const made = held.map((reservation) => ({ reservation, cause: causeOf(reservation.id) }));
        await together(this.newOrders.write(tx, made).written);
      },
      causeOf: ({ id }) => causeOf(id),
      ...options,
    });
    const committed = locked.filter((reservation) => !refused.has(reservation));
    const orderIds = committed.map(({ orderId }) => orderId!);
    await this.lifecycle.confirmAllTx(tx, orderIds, ({ reservationId }) => causeOf(reservationId));
    const answers = await answerOrders(tx, orderIds);
    const verdicts = new Map<CommitJob, CommitVerdict>();
    jobs.forEach((job) => verdicts.set(job, { error: new NotFound('reservation', job.reservationId) }));
    skipped.forEach((id) => verdicts.set(jobOf.get(id)!, { error: new Overloaded() }));
    refused.forEach((error, { id }) => verdicts.set(jobOf.get(id)!, { error }));
    committed.forEach(({ id, orderId }) => {
      const { data, extras } = answers.get(orderId!)!;
      verdicts.set(jobOf.get(id)!, { result: new Answer(data, { ...extras, location: `/api/orders/${orderId}` }) });
    });
    return verdicts;
  }
}
