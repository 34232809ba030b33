import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import type { AuditEntry } from '../audit/audit-action';
import type { Caused } from '../platform/batching/command';
import { prepared } from '../platform/database/prepared';
import type { UnitOfWork } from '../platform/database/unit-of-work';
import type { OrderChange } from './order.changes';
import { Order, OrderItem, OrderStatusChange, type OrderView } from './order.entity';

const UPDATE = `
  UPDATE orders SET status = new.status, version = new.version, updated_at = new.updated_at
  FROM unnest($1::uuid[], $2::text[], $3::int[], $4::timestamptz[]) AS new (id, status, version, updated_at)
  WHERE orders.id = new.id`;

/** The only writer of orders: turns changes into rows and history. */
@Injectable()
export class OrderWriter {
  /** Queues the rows of any changes: the last state of each order, and each status change in its history. */
  write(unit: UnitOfWork, changes: readonly Caused<OrderChange>[]): void {
    const last = new Map(changes.map(({ order }) => [order.id, order]));
    const createdIds = changes.filter(({ type }) => type === 'order.created').map(({ order }) => order.id);
    const created = createdIds.map((id) => last.get(id)!);
    unit.insert(Order, created);
    unit.insert(OrderItem, created.flatMap(itemsOf));
    createdIds.forEach((id) => last.delete(id));
    update(unit, [...last.values()]);
    unit.insert(
      OrderStatusChange,
      changes.flatMap((change) => historyOf(change) ?? []),
    );
  }
}

function update(unit: UnitOfWork, orders: readonly OrderView[]): void {
  if (orders.length > 0) {
    unit.execute(prepared(UPDATE), [
      orders.map(({ id }) => id),
      orders.map(({ status }) => status),
      orders.map(({ version }) => version),
      orders.map(({ updatedAt }) => updatedAt),
    ]);
  }
}

function itemsOf({ id, items }: OrderView): OrderItem[] {
  return items.map((item) => ({ ...item, orderId: id }));
}

function historyOf(change: Caused<OrderChange>): Partial<OrderStatusChange> | undefined {
  if (change.type === 'order.created') {
    return undefined;
  }
  const { order, from: fromStatus, reason, cause } = change;
  return { id: uuidv7(), orderId: order.id, fromStatus, toStatus: order.status, reason, ...cause };
}

export function auditOfOrder(change: Caused<OrderChange>): AuditEntry {
  const { order, cause } = change;
  const state = {
    status: order.status,
    version: order.version,
    reservation_id: order.reservationId,
    user_id: order.userId,
    total_amount: order.totalAmount,
    currency: order.currency,
    product_ids: productIdsOf(order),
  };
  if (change.type === 'order.created') {
    return { action: change.type, objectId: order.id, newValue: state, cause };
  }
  const newValue = { ...state, reason: change.reason };
  return { action: change.type, objectId: order.id, oldValue: { status: change.from }, newValue, cause };
}

function productIdsOf({ items }: OrderView): string[] {
  return [...new Set(items.map(({ productId }) => productId))];
}
