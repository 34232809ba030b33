import type { Change } from '../platform/batching/command';
import type { OrderView } from './order.entity';
import type { OrderStatus } from './order-state';

/** A change of an order, with the order as it is afterwards. */
export type OrderChange = OrderCreated | OrderStatusChanged;

export interface OrderCreated extends Change {
  readonly type: 'order.created';
  readonly order: OrderView;
}

export interface OrderStatusChanged extends Change {
  readonly type: 'order.status_changed';
  readonly order: OrderView;
  readonly from: OrderStatus;
  readonly reason: string | null;
}

/** A change of an order's status at this time. The caller checks that it is allowed. */
export function statusChanged(before: OrderView, to: OrderStatus, reason: string | null, at: Date): OrderStatusChanged {
  const order = { ...before, status: to, version: before.version + 1, expiresAt: null, updatedAt: at };
  return { type: 'order.status_changed', order, from: before.status, reason };
}
