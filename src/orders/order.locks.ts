import type { LockOptions } from '../platform/database/rows.locks';
import type { Tx } from '../platform/database/tx';
import { Order } from './order.entity';

/** Locks orders in the order of their ids: before their reservations, always. */
export function lockOrders(tx: Tx, ids: string[], { skipLocked }: LockOptions): Promise<Order[]> {
  const query = tx
    .createQueryBuilder(Order, 'o')
    .setLock('pessimistic_write')
    .where('o.id = ANY(:ids)', { ids })
    .orderBy('o.id');
  return (skipLocked ? query.setOnLocked('skip_locked') : query).getMany();
}
