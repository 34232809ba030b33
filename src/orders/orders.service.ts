import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { AuditService } from '../audit/audit.service';
import { ReservationExpiry } from '../inventory/reservations/reservation-expiry';
import { type HeldReservation, ReservationHolds } from '../inventory/reservations/reservation-holds';
import { toLines } from '../inventory/reservations/reservation-lines';
import type { Tx } from '../platform/database/tx';
import { Answer } from '../platform/http/answer';
import { IdempotencyService } from '../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../platform/idempotency/idempotent-request';
import type { UserActor } from '../platform/security/actor';
import { OrderLifecycle } from './order-lifecycle';
import { Order, OrderItem } from './order.entity';
import type { CreateOrderBody, OrderResponse } from './orders.dto';
import { answerOrder } from './orders.query';

@Injectable()
export class OrdersService {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly holds: ReservationHolds,
    private readonly expiry: ReservationExpiry,
    private readonly lifecycle: OrderLifecycle,
    private readonly audit: AuditService,
  ) {}

  /**
   * Makes a pending order from a reservation, which stays active and now belongs to it, or from items, which are
   * reserved in the same transaction: all or none. Locks the reservation, or the levels of the products.
   * @throws NotFound, ReservationNotActive, Duplicate if the reservation has an order, InsufficientStock
   */
  async create(body: CreateOrderBody, caller: UserActor, request: IdempotentRequest): Promise<Answer<OrderResponse>> {
    return this.expiry.reclaiming(() =>
      this.idempotency.run(request, async (tx) => {
        const orderId = uuidv7();
        const reservation = body.items
          ? await this.holds.holdTx(tx, { userId: caller.id, lines: toLines(body.items), orderId })
          : await this.holds.attachTx(tx, await this.holds.lockTx(tx, body.reservation_id!, caller), orderId);
        await this.insertTx(tx, reservation, orderId);
        return answerNewOrder(tx, orderId);
      }),
    );
  }

  /**
   * Turns a reservation into a confirmed order, its own pending one if it has one, and deducts the stock.
   * Locks that order, the reservation and its levels.
   * @throws NotFound, ReservationNotActive
   */
  async commitReservation(
    reservationId: string,
    caller: UserActor,
    request: IdempotentRequest,
  ): Promise<Answer<OrderResponse>> {
    return this.idempotency.run(request, async (tx) => {
      const reservation = await this.holds.lockActiveTx(tx, reservationId, caller);
      const orderId = reservation.orderId ?? uuidv7();
      if (reservation.orderId === null) {
        await this.insertTx(tx, await this.holds.attachTx(tx, reservation, orderId), orderId);
      }
      await this.lifecycle.moveTx(tx, await tx.findOneByOrFail(Order, { id: orderId }), 'confirmed', null);
      return answerNewOrder(tx, orderId);
    });
  }

  private async insertTx(tx: Tx, reservation: HeldReservation, id: string): Promise<void> {
    const { userId, totalAmount, currency, id: reservationId } = reservation;
    await tx.insert(Order, { id, userId, status: 'pending', totalAmount, currency, reservationId });
    const items = reservation.items.map((item) => ({ ...item, orderId: id }));
    await tx.insert(OrderItem, items);
    await this.audit.recordTx(tx, {
      action: 'order.created',
      objectId: id,
      newValue: {
        status: 'pending',
        user_id: userId,
        reservation_id: reservationId,
        total_amount: totalAmount,
        currency,
      },
    });
  }
}

async function answerNewOrder(tx: Tx, id: string): Promise<Answer<OrderResponse>> {
  const { data, extras } = await answerOrder(tx, id);
  return new Answer(data, { ...extras, location: `/api/orders/${id}` });
}
