import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { HoldLanes } from '../inventory/reservations/hold-lanes';
import { toLines } from '../inventory/reservations/reservation-lines';
import type { Answer } from '../platform/http/answer';
import type { IdempotentRequest } from '../platform/idempotency/idempotent-request';
import type { UserActor } from '../platform/security/actor';
import { AttachedOrders } from './attached-orders';
import { NewOrders } from './new-orders';
import type { CreateOrderBody, OrderResponse } from './orders.dto';

@Injectable()
export class OrdersService {
  constructor(
    private readonly lanes: HoldLanes,
    private readonly newOrders: NewOrders,
    private readonly attached: AttachedOrders,
  ) {}

  /**
   * Makes a pending order from a reservation, which stays active and now belongs to it, or from items, which are
   * reserved in the same transaction: all or none. Locks the reservation, or the levels of the products.
   * @throws NotFound, ReservationNotActive, Duplicate if the reservation has an order, InsufficientStock
   */
  async create(body: CreateOrderBody, caller: UserActor, request: IdempotentRequest): Promise<Answer<OrderResponse>> {
    if (body.items) {
      const asked = { userId: caller.id, lines: toLines(body.items), orderId: uuidv7() };
      return this.lanes.hold(asked, request, this.newOrders);
    }
    // As the database spells it: the batch tells its reservations by their ids.
    return this.attached.attach(body.reservation_id!.toLowerCase(), caller, request);
  }
}
