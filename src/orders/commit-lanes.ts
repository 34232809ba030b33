import { Injectable } from '@nestjs/common';
import { AppConfig } from '../platform/config/app-config';
import { RequestContext } from '../platform/context/request-context';
import { GroupCommit } from '../platform/group-commit/group-commit';
import type { Answer } from '../platform/http/answer';
import { IdempotencyService } from '../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../platform/idempotency/idempotent-request';
import { Metrics } from '../platform/metrics/metrics';
import type { UserActor } from '../platform/security/actor';
import type { OrderResponse } from './orders.dto';
import { type CommitJob, ReservationCommits } from './reservation-commits';

/** One lane, one batch at a time: which products a reservation holds is known only in the batch, and two would meet there. */
const LANE = ['commits'];

/** Where requests to commit a reservation wait for their batch. */
@Injectable()
export class CommitLanes {
  private readonly groupCommit: GroupCommit<CommitJob, Answer<object>>;

  constructor(
    commits: ReservationCommits,
    private readonly idempotency: IdempotencyService,
    private readonly context: RequestContext,
    config: AppConfig,
    metrics: Metrics,
  ) {
    this.groupCommit = new GroupCommit(
      (jobs, mode) => commits.attempt(jobs, mode),
      config.reservationQueueLimit,
      metrics,
    );
    metrics.watchQueue(() => this.groupCommit.length);
  }

  /**
   * Turns a reservation into a confirmed order, its own pending one if it has one, and deducts the stock, in one
   * transaction with what others commit at the same time. Locks that order, the reservation and its levels. A request
   * whose caller has hung up before its turn is not carried out.
   * @throws NotFound, ReservationNotActive, Overloaded if too many wait already
   */
  async commit(reservationId: string, caller: UserActor, request: IdempotentRequest): Promise<Answer<OrderResponse>> {
    const answer = await this.groupCommit.submit({
      ...{ reservationId, caller, lanes: LANE, alone: reservationId, isAbandoned: request.isAbandoned },
      keyed: this.idempotency.keyed(request),
      cause: this.context.cause,
    });
    return answer as Answer<OrderResponse>;
  }
}
