import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { AuditEntry } from '../audit/audit-action';
import { type OrderBook, OrderBooks, type SnapshotOrders } from '../inventory/commands/snapshot';
import type { Caused } from '../platform/batching/command';
import type { LockWait } from '../platform/database/rows.locks';
import type { Tx } from '../platform/database/tx';
import type { UnitOfWork } from '../platform/database/unit-of-work';
import { type OrderChange, statusChanged } from './order.changes';
import type { OrderView } from './order.entity';
import { lockOrders } from './order.locks';
import { auditOfOrder, OrderWriter } from './order.writer';
import { findOrdersOf } from './orders.query';

/** The orders of a batch, with their items. */
export class LoadedOrders implements SnapshotOrders {
  private readonly orders: Map<string, OrderView>;

  constructor(orders: readonly OrderView[]) {
    this.orders = new Map(orders.map((order) => [order.id, order]));
  }

  get ids(): string[] {
    return [...this.orders.keys()];
  }

  has(id: string): boolean {
    return this.orders.has(id);
  }

  get(id: string): OrderView | undefined {
    return this.orders.get(id);
  }

  cancelPending(orderId: string | null, reason: string, at: Date): OrderChange[] {
    const order = orderId === null ? undefined : this.orders.get(orderId);
    return order?.status === 'pending' ? [statusChanged(order, 'cancelled', reason, at)] : [];
  }

  apply({ order }: OrderChange): void {
    this.orders.set(order.id, order);
  }
}

/** Gives inventory access to the orders of reservations. */
@Injectable()
export class Orders implements OrderBook, OnModuleInit {
  constructor(
    private readonly books: OrderBooks,
    private readonly writer: OrderWriter,
  ) {}

  onModuleInit(): void {
    this.books.register(this);
  }

  async look(
    manager: EntityManager,
    orderIds: readonly string[],
    reservationIds: readonly string[],
  ): Promise<LoadedOrders> {
    const isAsked = orderIds.length + reservationIds.length > 0;
    return new LoadedOrders(isAsked ? await findOrdersOf(manager, orderIds, reservationIds) : []);
  }

  async lock(tx: Tx, seen: LoadedOrders, lockWait: LockWait): Promise<LoadedOrders> {
    const rows = seen.ids.length > 0 ? await lockOrders(tx, seen.ids, lockWait) : [];
    return new LoadedOrders(rows.map((row) => ({ ...seen.get(row.id)!, ...row })));
  }

  write(unit: UnitOfWork, changes: readonly Caused<OrderChange>[]): void {
    this.writer.write(unit, changes);
  }

  auditOf(change: Caused<OrderChange>): AuditEntry {
    return auditOfOrder(change);
  }
}
