import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { AppConfig } from '../../platform/config/app-config';
import { RequestContext } from '../../platform/context/request-context';
import type { GroupCommit } from '../../platform/group-commit/group-commit';
import { GroupCommits } from '../../platform/group-commit/group-commits';
import type { Answer } from '../../platform/http/answer';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { HoldBatches } from './hold-batches';
import type { HoldJob, HoldRequest, HoldSequel, HoldVerdict } from './hold-job';
import { NO_RECLAIMS, type Reclaims } from './overdue';
import { ReservationExpiry } from './reservation-expiry';
import { assertTtl } from './reservation-lines';

/** Where requests to hold stock wait for the batch that decides them: in one lane for each product. */
@Injectable()
export class HoldLanes {
  private readonly groupCommit: GroupCommit<HoldJob, Answer<object>>;

  constructor(
    private readonly batches: HoldBatches,
    expiry: ReservationExpiry,
    private readonly config: AppConfig,
    private readonly context: RequestContext,
    groupCommits: GroupCommits,
  ) {
    this.groupCommit = groupCommits.for((jobs, mode) => {
      const attempt = (reclaims: Reclaims): Promise<HoldVerdict[]> => batches.attempt(jobs, { ...mode, reclaims });
      // To expire holds means to wait for their levels.
      return mode.isPatient ? expiry.reclaiming(attempt) : attempt(NO_RECLAIMS);
    });
  }

  /**
   * Holds all lines or none, at today's prices, in one transaction with what `sequel` makes of it and with what others
   * ask for at the same time. Locks the levels of the products; overdue holds are expired first where they would change the answer.
   * A request whose caller has hung up before its turn is not carried out.
   * @throws NotFound, ValidationFailed, InsufficientStock with every short line and what is really there, Overloaded if
   *   too many wait already
   */
  async hold<T extends object>(
    { userId, lines, ttlSeconds = this.config.reservationTtlSeconds, orderId }: HoldRequest,
    request: IdempotentRequest,
    sequel: HoldSequel,
  ): Promise<Answer<T>> {
    assertTtl(ttlSeconds, this.config.reservationMaxTtlSeconds);
    const answer = await this.groupCommit.submit({
      ...{ id: uuidv7(), userId, lines, ttlSeconds, orderId: orderId ?? null, sequel },
      lanes: [...new Set(lines.map(({ productId }) => productId))],
      keyed: this.batches.keyed(request),
      cause: this.context.cause,
      isAbandoned: request.isAbandoned,
    });
    return answer as Answer<T>;
  }
}
