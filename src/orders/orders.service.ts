import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import type { HeldReservation } from '../inventory/reservations/hold-job';
import { HoldLanes } from '../inventory/reservations/hold-lanes';
import { ReservationHolds } from '../inventory/reservations/reservation-holds';
import { toLines } from '../inventory/reservations/reservation-lines';
import { together } from '../platform/database/together';
import type { Tx } from '../platform/database/tx';
import type { Answer } from '../platform/http/answer';
import { IdempotencyService } from '../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../platform/idempotency/idempotent-request';
import type { UserActor } from '../platform/security/actor';
import { NewOrders } from './new-orders';
import type { CreateOrderBody, OrderResponse } from './orders.dto';

@Injectable()
export class OrdersService {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly holds: ReservationHolds,
    private readonly lanes: HoldLanes,
    private readonly newOrders: NewOrders,
  ) {}

  /**
   * Makes a pending order from a reservation, which stays active and now belongs to it, or from items, which are
   * reserved in the same transaction: all or none. Locks the reservation, or the levels of the products.
   * @throws NotFound, ReservationNotActive, Duplicate if the reservation has an order, InsufficientStock
   */
  async create(body: CreateOrderBody, caller: UserActor, request: IdempotentRequest): Promise<Answer<OrderResponse>> {
    const orderId = uuidv7();
    if (body.items) {
      return this.lanes.hold({ userId: caller.id, lines: toLines(body.items), orderId }, request, this.newOrders);
    }
    return this.idempotency.run(request, async (tx) => {
      const reservation = await this.holds.lockTx(tx, body.reservation_id!, caller);
      return this.makeTx(tx, await this.holds.attachTx(tx, reservation, orderId));
    });
  }

  private async makeTx(tx: Tx, reservation: HeldReservation): Promise<Answer<OrderResponse>> {
    const { answers, written } = this.newOrders.write(tx, [{ reservation }]);
    await together(written);
    return answers[0]!;
  }
}
