import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { ReservationEndings } from '../inventory/reservations/reservation-endings';
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
import { Answer } from '../platform/http/answer';
import type { IdempotentRequest } from '../platform/idempotency/idempotent-request';
import type { UserActor } from '../platform/security/actor';
import { NewOrders } from './new-orders';
import { OrderLifecycle } from './order-lifecycle';
import type { OrderResponse } from './orders.dto';
import { answerOrder, findWholeOrders } from './orders.query';

/** Commits reservations into confirmed orders, many at a time. */
@Injectable()
export class ReservationCommits {
  private readonly submit: Submit<OrderResponse>;

  constructor(
    lanes: ReservationLanes,
    private readonly holds: ReservationHolds,
    private readonly endings: ReservationEndings,
    private readonly lifecycle: OrderLifecycle,
    private readonly newOrders: NewOrders,
  ) {
    this.submit = lanes.one('commits', (...batch) => this.commitTx(...batch));
  }

  /**
   * Turns a reservation into a confirmed order, its own pending one if it has one, and deducts the stock, in one
   * transaction with what others commit at the same time. Locks that order, the reservation and its levels.
   * @throws NotFound, ReservationNotActive, Overloaded if too many wait already
   */
  commit(reservationId: string, caller: UserActor, request: IdempotentRequest): Promise<Answer<OrderResponse>> {
    return this.submit(reservationId, caller, request);
  }

  private async commitTx(tx: Tx, jobs: readonly ReservationJob[], options: LockOptions): Promise<ReservationVerdicts> {
    const causes = new Map(jobs.map(({ reservationId, cause }) => [reservationId, cause]));
    const { locked, orders, refused } = await this.holds.lockAllTx(tx, jobs, options);
    const made = await findWholeOrders(tx, [...orders.ids]);
    const wishes = locked.map((held) => ({
      of: { ...held, orderId: held.orderId ?? uuidv7() },
      to: 'commit' as const,
      cause: causes.get(held.id),
    }));
    const judgement = await this.endings.judgeAllTx(tx, wishes, options);
    const { granted, now } = judgement;
    const alone = granted.filter(({ of: { orderId } }) => !orders.ids.has(orderId!));
    const holds = alone.map(({ of, cause }) => ({ reservation: { ...of, updatedAt: now }, cause }));
    const whole = new Map([...made, ...this.newOrders.make(tx, holds)].map((one) => [one.order.id, one]));
    this.endings.fulfil(tx, judgement);
    const steps = granted.map(({ of: { orderId }, cause }) => ({ order: whole.get(orderId!)!.order, cause }));
    const confirmed = this.lifecycle.confirmAll(tx, steps, now);
    const answers = confirmed.map((order) => {
      const { data, extras } = answerOrder({ ...order, items: whole.get(order.id)!.items, expiresAt: null });
      return [order.reservationId, new Answer(data, { ...extras, location: `/api/orders/${order.id}` })] as const;
    });
    return verdictsOf(jobs, new Map([...refused, ...judgement.refused]), new Map(answers));
  }
}
