import { type LockWait, lockRows } from '../platform/database/rows.locks';
import type { Tx } from '../platform/database/tx';
import { Order } from './order.entity';

/** Locks orders. Always call it before locking their reservations. */
export function lockOrders(tx: Tx, ids: readonly string[], lockWait: LockWait): Promise<Order[]> {
  return lockRows(tx, Order, ids, lockWait);
}
