import { Injectable, type OnModuleInit } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { AuditService } from '../audit/audit.service';
import { type Refusals, ReservationEndings } from '../inventory/reservations/reservation-endings';
import {
  type LockedOrders,
  ReservationExpiryHook,
  type ReservationExpiryListener,
} from '../inventory/reservations/reservation-expiry-listener';
import { type Cause, RequestContext } from '../platform/context/request-context';
import { insertRows, rowsOf } from '../platform/database/insert-rows';
import type { LockOptions } from '../platform/database/rows.locks';
import { commitWith } from '../platform/database/transaction-runner';
import type { Tx } from '../platform/database/tx';
import { Order, OrderStatusChange } from './order.entity';
import { lockOrders } from './order.locks';
import { assertTransition, type OrderStatus, type StockEffect } from './order-state';

/** A locked order, and where it goes. */
interface Step {
  /** Of the change, in the history; made up if it is left out. */
  readonly id?: string;
  readonly order: Order;
  readonly to: OrderStatus;
  readonly reason: string | null;
  /** Who takes it in which request, if those are not the context's. */
  readonly cause?: Cause;
}

/** A step that the state machine allows, and what it does to the stock behind the order. */
export interface Move extends Step {
  readonly stock: StockEffect;
}

interface TakenStep extends Step {
  readonly at: Date;
}

const WRITE_STATUSES = `
  UPDATE orders SET status = moved.status, version = orders.version + 1, updated_at = moved.at
  FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS moved (id, status, at) WHERE orders.id = moved.id`;

/** The steps of orders through their states, many at a time, inside a transaction that the caller opened. */
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
   * Brings locked orders into other statuses, moves the stock behind them, and writes history and audit: sends all that at
   * last, to be committed with. Locks their reservations and the levels of these. Gives the orders as they are then, and
   * says why others stay where they are, by the ids of their reservations: ReservationNotActive if the hold is over, or
   * Overloaded if a row was skipped.
   */
  async moveAllTx(
    tx: Tx,
    moves: readonly Move[],
    options: LockOptions,
  ): Promise<{ moved: readonly Order[]; refused: Refusals }> {
    const wishes = moves.flatMap(({ order, stock, cause }) =>
      stock === 'none' ? [] : { of: order.reservationId, to: stock, cause },
    );
    const judgement = await this.endings.lockAndJudgeAllTx(tx, wishes, options);
    this.endings.fulfil(tx, judgement);
    const going = moves.filter(({ order }) => !judgement.refused.has(order.reservationId));
    const taken = going.map((move) => ({ ...move, at: judgement.now }));
    return { moved: this.write(tx, taken), refused: judgement.refused };
  }

  /**
   * Confirms locked orders whose reservations are being committed: sends that, to be committed with, and gives the orders as
   * they are then. @throws InvalidTransition if one is not pending
   */
  confirmAll(tx: Tx, orders: readonly Pick<Step, 'order' | 'cause'>[], now: Date): Order[] {
    orders.forEach(({ order }) => assertTransition(order.status, 'confirmed'));
    return this.write(
      tx,
      orders.map((one) => ({ ...one, to: 'confirmed', reason: null, at: now })),
    );
  }

  async lockOrdersTx(tx: Tx, orderIds: string[], options: LockOptions): Promise<LockedOrders> {
    const locked = new Map((await lockOrders(tx, orderIds, options)).map((order) => [order.id, order]));
    const cancel: LockedOrders['cancel'] = (ended, reason) => {
      const steps = ended.flatMap(({ of: { orderId }, at, cause }): TakenStep[] => {
        const order = orderId === null ? undefined : locked.get(orderId);
        return order?.status === 'pending' ? [{ order, to: 'cancelled', reason, at, cause }] : [];
      });
      this.write(tx, steps);
    };
    return { ids: new Set(locked.keys()), cancel };
  }

  private write(tx: Tx, steps: readonly TakenStep[]): Order[] {
    if (steps.length === 0) {
      return [];
    }
    const changes = steps.map(({ id, order, to, reason, cause }) => ({
      ...(cause ?? this.context.cause),
      ...{ id: id ?? uuidv7(), orderId: order.id, fromStatus: order.status, toStatus: to, reason },
    }));
    const entries = steps.map(({ order, to, reason, cause }) => ({
      action: 'order.status_changed' as const,
      objectId: order.id,
      oldValue: { status: order.status },
      newValue: { status: to, reason },
      cause,
    }));
    commitWith(tx, [
      tx.query(WRITE_STATUSES, [
        steps.map(({ order }) => order.id),
        steps.map(({ to }) => to),
        steps.map(({ at }) => at),
      ]),
      insertRows(tx, rowsOf(OrderStatusChange, changes)),
      this.audit.recordTx(tx, ...entries),
    ]);
    return steps.map(({ order, to, at }) => ({ ...order, status: to, version: order.version + 1, updatedAt: at }));
  }
}
