import { Injectable } from '@nestjs/common';
import { type Cause, RequestContext } from '../../platform/context/request-context';
import type { LockOptions } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';
import type { Job, Verdict } from '../../platform/group-commit/group-commit';
import { GroupCommits } from '../../platform/group-commit/group-commits';
import type { Answer } from '../../platform/http/answer';
import { IdempotencyService } from '../../platform/idempotency/idempotency.service';
import type { MaybeKeyed } from '../../platform/idempotency/idempotency-keys';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import type { UserActor } from '../../platform/security/actor';
import type { Refusals } from './reservation-endings';

/** One request to do something with a reservation, on its way through a lane. */
export interface ReservationJob extends Job, MaybeKeyed {
  readonly reservationId: string;
  readonly caller: UserActor;
  readonly cause: Cause;
}

export type ReservationVerdicts = Map<ReservationJob, Verdict<Answer<object>>>;

/**
 * Does what is asked for with many reservations in one transaction; no two of the jobs are for the same. Where two may have
 * one key, because the reservation is not in the path, it does the first that can be done and leaves out the others.
 */
type ReservationWork = (tx: Tx, jobs: readonly ReservationJob[], options: LockOptions) => Promise<ReservationVerdicts>;

/** Has a request wait for its batch. @throws Overloaded if too many wait already, and what the work says of it */
export type Submit<T extends object> = (
  reservationId: string,
  caller: UserActor,
  request: IdempotentRequest,
) => Promise<Answer<T>>;

/**
 * Where requests to do something with a reservation wait for the batch that does it: each kind of them in a queue of its own.
 * A request whose caller has hung up before its turn is not carried out.
 */
@Injectable()
export class ReservationLanes {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly context: RequestContext,
    private readonly groupCommits: GroupCommits,
  ) {}

  /**
   * For what ends holds: one lane, one batch at a time. Which products a reservation holds is known only in the batch, and
   * two batches would meet there.
   */
  one<T extends object>(lane: string, work: ReservationWork): Submit<T> {
    return this.open(() => [lane], work);
  }

  /** For what moves no stock: batches of different reservations do not meet. */
  many<T extends object>(work: ReservationWork): Submit<T> {
    return this.open((reservationId) => [reservationId], work);
  }

  private open<T extends object>(lanesOf: (reservationId: string) => string[], work: ReservationWork): Submit<T> {
    const groupCommit = this.groupCommits.for<ReservationJob, Answer<object>>((jobs, mode) =>
      this.idempotency.runAll(jobs, (tx, fresh) => work(tx, fresh, { skipLocked: !mode.isPatient }), mode),
    );
    return async (reservationId, caller, request) => {
      const answer = await groupCommit.submit({
        ...{ reservationId, caller, lanes: lanesOf(reservationId), alone: reservationId },
        isAbandoned: request.isAbandoned,
        keyed: this.idempotency.keyed(request),
        cause: this.context.cause,
      });
      return answer as Answer<T>;
    };
  }
}

/** What became of the jobs that are not left out; `refused` and `answers` are by the ids of their reservations. */
export function verdictsOf(
  jobs: readonly ReservationJob[],
  refused: Refusals,
  answers: ReadonlyMap<string, Answer<object>>,
): ReservationVerdicts {
  return new Map(
    jobs.flatMap((job): [ReservationJob, Verdict<Answer<object>>][] => {
      const [error, result] = [refused.get(job.reservationId), answers.get(job.reservationId)];
      return error ? [[job, { error }]] : result ? [[job, { result }]] : [];
    }),
  );
}
