import { lockRow } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';
import { Warehouse } from './warehouse.entity';

/** Locks a warehouse against other changes of it. Reservations only read warehouses, and do not wait for this. */
export function lockWarehouse(tx: Tx, id: string): Promise<Warehouse | null> {
  return lockRow(tx, Warehouse, id);
}
