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
    const causes = new Map(jobs.map(({ reservationId, cause }) => [reservationId, cause]));
    const { locked, refused } = await this.holds.lockAllTx(tx, jobs, options);
    const { attached, refused: notAttached } = await this.holds.attachAllTx(tx, locked, uuidv7);
    const answers = this.newOrders.write(
      tx,
      attached.map((reservation) => ({ reservation, cause: causes.get(reservation.id) })),
    );
    return verdictsOf(
      jobs,
      new Map([...refused, ...notAttached]),
      new Map(attached.map(({ id }, index) => [id, answers[index]!])),
    );
  }
}
