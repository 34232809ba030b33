import { Injectable } from '@nestjs/common';
import type { AuditEntry } from '../audit/audit-action';
import { AuditService } from '../audit/audit.service';
import type { HoldSequel, MadeHold } from '../inventory/reservations/hold-job';
import { insertRows, rowsOf } from '../platform/database/insert-rows';
import { commitWith } from '../platform/database/transaction-runner';
import type { Tx } from '../platform/database/tx';
import { Answer } from '../platform/http/answer';
import { Order, OrderItem } from './order.entity';
import type { OrderResponse } from './orders.dto';
import { answerOrder, type WholeOrder } from './orders.query';

/** How orders begin: pending, each from a hold that belongs to it. */
@Injectable()
export class NewOrders implements HoldSequel {
  constructor(private readonly audit: AuditService) {}

  write(tx: Tx, holds: readonly MadeHold[]): Answer<OrderResponse>[] {
    return this.make(tx, holds).map(({ order, items }, index) => {
      const { expiresAt } = holds[index]!.reservation;
      const { data, extras } = answerOrder({ ...order, items, expiresAt });
      return new Answer(data, { ...extras, location: `/api/orders/${order.id}` });
    });
  }

  /** Makes an order of each of these holds, whose `orderId` says which: sends that, to be committed with. */
  make(tx: Tx, holds: readonly MadeHold[]): WholeOrder[] {
    const made = holds.map(({ reservation, cause }) => {
      const { orderId, userId, totalAmount, currency, id: reservationId, updatedAt: now } = reservation;
      const draft = { id: orderId!, userId, status: 'pending' as const, totalAmount, currency, reservationId };
      const order: Order = { ...draft, version: 1, createdAt: now, updatedAt: now };
      return { order, items: reservation.items.map((item): OrderItem => ({ ...item, orderId: order.id })), cause };
    });
    commitWith(tx, [
      insertRows(
        tx,
        rowsOf(
          Order,
          made.map(({ order }) => order),
        ),
        rowsOf(
          OrderItem,
          made.flatMap(({ items }) => items),
        ),
      ),
      this.audit.recordTx(tx, ...made.map(({ order, cause }) => ({ ...creationOf(order), cause }))),
    ]);
    return made;
  }
}

function creationOf({ id, userId, reservationId, totalAmount, currency }: Order): AuditEntry {
  return {
    action: 'order.created',
    objectId: id,
    newValue: {
      status: 'pending',
      user_id: userId,
      reservation_id: reservationId,
      total_amount: totalAmount,
      currency,
    },
  };
}
