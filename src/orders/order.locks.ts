import type { Tx } from '../platform/database/tx';
import { Order } from './order.entity';

/** Locks orders in the order of their ids. */
export function lockOrders(tx: Tx, ids: string[], { skipLocked }: { skipLocked: boolean }): Promise<Order[]> {
  const query = tx
    .createQueryBuilder(Order, 'o')
    .setLock('pessimistic_write')
    .where('o.id = ANY(:ids)', { ids })
    .orderBy('o.id');
  return (skipLocked ? query.setOnLocked('skip_locked') : query).getMany();
}
