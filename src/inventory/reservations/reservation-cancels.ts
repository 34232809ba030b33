import { Injectable } from '@nestjs/common';
import type { LockOptions } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';
import { Answer } from '../../platform/http/answer';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import type { UserActor } from '../../platform/security/actor';
import { ReservationEndings } from './reservation-endings';
import { ReservationHolds } from './reservation-holds';
import {
  type ReservationJob,
  ReservationLanes,
  type ReservationVerdicts,
  type Submit,
  verdictsOf,
} from './reservation-lanes';
import { type ReservationResponse, toReservationResponse } from './reservations.dto';

/** Cancels reservations, many at a time. */
@Injectable()
export class ReservationCancels {
  private readonly submit: Submit<ReservationResponse>;

  constructor(
    lanes: ReservationLanes,
    private readonly holds: ReservationHolds,
    private readonly endings: ReservationEndings,
  ) {
    this.submit = lanes.one('cancels', (...batch) => this.cancelTx(...batch));
  }

  /**
   * Gives the stock back, in one transaction with what others cancel at the same time; a pending order that the
   * reservation belongs to is cancelled with it. Locks that order, the reservation and its levels.
   * @throws NotFound, ReservationNotActive, Overloaded if too many wait already
   */
  cancel(id: string, caller: UserActor, request: IdempotentRequest): Promise<Answer<ReservationResponse>> {
    return this.submit(id, caller, request);
  }

  private async cancelTx(tx: Tx, jobs: readonly ReservationJob[], options: LockOptions): Promise<ReservationVerdicts> {
    const causes = new Map(jobs.map(({ reservationId, cause }) => [reservationId, cause]));
    const { locked, orders, refused } = await this.holds.lockAllTx(tx, jobs, options);
    const wishes = locked.map((of) => ({ of, to: 'cancel' as const, cause: causes.get(of.id) }));
    const judgement = await this.endings.judgeAllTx(tx, wishes, options);
    const cancelled = this.endings.fulfil(tx, judgement);
    orders.cancel(judgement.granted, 'the reservation was cancelled');
    const answers = cancelled.map((one) => [one.id, new Answer(toReservationResponse(one))] as const);
    return verdictsOf(jobs, new Map([...refused, ...judgement.refused]), new Map(answers));
  }
}
