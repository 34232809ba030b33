import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { StockCommands } from '../inventory/commands/stock-commands';
import { toLines } from '../inventory/reservations/reservations.dto';
import { reserve } from '../inventory/reservations/reserve';
import { AppConfig } from '../platform/config/app-config';
import type { Answer } from '../platform/http/answer';
import type { Conditions } from '../platform/http/if-match';
import type { IdempotentRequest } from '../platform/idempotency/idempotent-request';
import type { UserActor } from '../platform/security/actor';
import { changeOrderStatus } from './change-status';
import { commitReservation } from './commit-reservation';
import type { ChangeOrderStatusBody, CreateOrderBody, OrderResponse } from './orders.dto';
import { orderOf, placeOrder } from './place-order';

@Injectable()
export class OrdersService {
  constructor(
    private readonly commands: StockCommands,
    private readonly config: AppConfig,
  ) {}

  /**
   * Makes a pending order from a reservation, which stays active and now belongs to it, or from items, which are
   * reserved in the same transaction: all or none.
   * @throws NotFound, ReservationNotActive, Duplicate if the reservation has an order, InsufficientStock
   */
  create({ items, reservation_id }: CreateOrderBody, caller: UserActor, from: IdempotentRequest): Submitted {
    const orderId = uuidv7();
    if (items) {
      const hold = { id: uuidv7(), userId: caller.id, lines: toLines(items), orderId };
      const ttlSeconds = this.config.reservationTtlSeconds;
      return this.commands.submit(reserve, { ...hold, ttlSeconds, conclude: orderOf }, from);
    }
    // In lower case, as the database returns it: the batch identifies its reservations by id.
    const reservationId = reservation_id!.toLowerCase();
    return this.commands.submit(placeOrder, { reservationId, caller, orderId }, from);
  }

  /** @throws NotFound, ReservationNotActive */
  commit(reservationId: string, caller: UserActor, from: IdempotentRequest): Submitted {
    return this.commands.submit(commitReservation, { reservationId, caller, orderId: uuidv7() }, from);
  }

  /** @throws NotFound, Forbidden, VersionMismatch, InvalidTransition, ReservationNotActive */
  changeStatus(orderId: string, body: ChangeOrderStatusBody, caller: UserActor, conditions: Conditions): Submitted {
    const { ifMatch } = conditions;
    return this.commands.submit(changeOrderStatus, { orderId, caller, ...body, ifMatch }, conditions);
  }
}

type Submitted = Promise<Answer<OrderResponse>>;
