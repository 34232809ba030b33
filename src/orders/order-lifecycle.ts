import { Injectable, type OnModuleInit } from '@nestjs/common';
import { In } from 'typeorm';
import { uuidv7 } from 'uuidv7';
import { AuditService } from '../audit/audit.service';
import { ReservationEndings } from '../inventory/reservations/reservation-endings';
import {
  ReservationExpiryHook,
  type ReservationExpiryListener,
} from '../inventory/reservations/reservation-expiry-listener';
import { type Cause, RequestContext } from '../platform/context/request-context';
import type { Tx } from '../platform/database/tx';
import { Order, OrderItem, OrderStatusChange } from './order.entity';
import { lockOrders } from './order.locks';
import { assertTransition, type OrderStatus, type StockEffect } from './order-state';

interface Step {
  readonly to: OrderStatus;
  readonly reason: string | null;
  /** Who takes it for an order, in which request; left out, that is the context. */
  readonly causeOf?: (order: Order) => Cause | undefined;
}

/** The steps of orders through their states, inside a transaction that the caller opened. */
@Injectable()
export class OrderLifecycle implements ReservationExpiryListener, OnModuleInit {
  constructor(
    private readonly endings: ReservationEndings,
    private readonly hook: ReservationExpiryHook,
    private readonly audit: AuditService,
    private readonly context: RequestContext,
  ) {}

  onModuleInit(): void {
    this.hook.register(this);
  }

  /**
   * Brings a locked order into another status, moves the stock behind it, and writes history and audit.
   * @throws InvalidTransition, ReservationNotActive if it is to be confirmed and its hold is over
   */
  async moveTx(tx: Tx, order: Order, to: OrderStatus, reason: string | null): Promise<void> {
    const { stock } = assertTransition(order.status, to);
    await this.moveStockTx(tx, order, stock);
    await this.writeTx(tx, [order], { to, reason });
  }

  /** Confirms locked orders whose reservations have just been committed. @throws InvalidTransition if one is not pending */
  async confirmAllTx(tx: Tx, orderIds: string[], causeOf: (order: Order) => Cause | undefined): Promise<void> {
    const orders = await tx.findBy(Order, { id: In(orderIds) });
    orders.forEach(({ status }) => assertTransition(status, 'confirmed'));
    await this.writeTx(tx, orders, { to: 'confirmed', reason: null, causeOf });
  }

  async lockOrdersTx(tx: Tx, orderIds: string[], options: { skipLocked: boolean }): Promise<Set<string>> {
    return new Set((await lockOrders(tx, orderIds, options)).map(({ id }) => id));
  }

  async cancelOrdersTx(tx: Tx, orderIds: string[], reason: string): Promise<void> {
    const orders = await tx.findBy(Order, { id: In(orderIds), status: 'pending' });
    await this.writeTx(tx, orders, { to: 'cancelled', reason });
  }

  private async moveStockTx(tx: Tx, order: Order, effect: StockEffect): Promise<void> {
    switch (effect) {
      case 'commit':
        return this.endings.commitTx(tx, order.reservationId);
      case 'release':
        return this.endings.releaseTx(tx, order.reservationId);
      case 'restock': {
        const items = await tx.findBy(OrderItem, { orderId: order.id });
        return this.endings.restockTx(tx, items, { reservationId: order.reservationId, orderId: order.id });
      }
      case 'none':
    }
  }

  private async writeTx(tx: Tx, orders: readonly Order[], { to, reason, causeOf }: Step): Promise<void> {
    if (orders.length === 0) {
      return;
    }
    const ids = orders.map(({ id }) => id);
    await tx.update(
      Order,
      { id: In(ids) },
      { status: to, version: () => 'version + 1', updatedAt: () => 'clock_timestamp()' },
    );
    await tx.insert(
      OrderStatusChange,
      orders.map((order) => ({
        ...(causeOf?.(order) ?? this.context.cause),
        id: uuidv7(),
        orderId: order.id,
        fromStatus: order.status,
        toStatus: to,
        reason,
      })),
    );
    await this.audit.recordTx(
      tx,
      ...orders.map((order) => ({
        action: 'order.status_changed' as const,
        objectId: order.id,
        oldValue: { status: order.status },
        newValue: { status: to, reason },
        cause: causeOf?.(order),
      })),
    );
  }
}
