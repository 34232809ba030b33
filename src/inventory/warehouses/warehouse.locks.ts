import { lockRows } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';
import { Warehouse } from './warehouse.entity';

/** Locks a warehouse against concurrent changes. Reservations only read warehouses and do not wait for this lock. */
export async function lockWarehouse(tx: Tx, id: string): Promise<Warehouse | undefined> {
  const [warehouse] = await lockRows(tx, Warehouse, [id]);
  return warehouse;
}
