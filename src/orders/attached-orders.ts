import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { ReservationHolds } from '../inventory/reservations/reservation-holds';
import {
  type ReservationJob,
  ReservationLanes,
  type ReservationVerdicts,
  type Submit,
  verdictsOf,
} from '../inventory/reservations/reservation-lanes';
import type { LockOptions } from '../platform/database/rows.locks';
import type { Tx } from '../platform/database/tx';
import type { Answer } from '../platform/http/answer';
import { firstOfEachKey } from '../platform/idempotency/idempotency-keys';
import type { IdempotentRequest } from '../platform/idempotency/idempotent-request';
import type { UserActor } from '../platform/security/actor';
import { NewOrders } from './new-orders';
import type { OrderResponse } from './orders.dto';

/** Makes pending orders of reservations, many at a time. */
@Injectable()
export class AttachedOrders {
  private readonly submit: Submit<OrderResponse>;

  constructor(
    lanes: ReservationLanes,
    private readonly holds: ReservationHolds,
    private readonly newOrders: NewOrders,
  ) {
    this.submit = lanes.many((...batch) => this.attachTx(...batch));
  }

  /**
   * Makes a pending order of a reservation, which stays active and now belongs to it, in one transaction with what others
   * make at the same time. Locks the reservation.
   * @throws NotFound, ReservationNotActive, Duplicate if the reservation has an order, Overloaded if too many wait already
   */
  attach(reservationId: string, caller: UserActor, request: IdempotentRequest): Promise<Answer<OrderResponse>> {
    return this.submit(reservationId, caller, request);
  }

  private async attachTx(tx: Tx, jobs: readonly ReservationJob[], options: LockOptions): Promise<ReservationVerdicts> {
    const { locked, refused: notLocked } = await this.holds.lockAllTx(tx, jobs, options);
    const { now, refused: notFree } = await this.holds.judgeAttachingTx(tx, locked);
    const refused = new Map([...notLocked, ...notFree]);
    const held = new Map(locked.map((reservation) => [reservation.id, reservation]));
    const granted = firstOfEachKey(jobs.filter(({ reservationId }) => !refused.has(reservationId)));
    const attached = this.holds.attach(
      tx,
      granted.map(({ reservationId }) => held.get(reservationId)!),
      now,
      uuidv7,
    );
    const answers = this.newOrders.write(
      tx,
      attached.map((reservation, index) => ({ reservation, cause: granted[index]!.cause })),
    );
    return verdictsOf(jobs, refused, new Map(attached.map(({ id }, index) => [id, answers[index]!])));
  }
}
