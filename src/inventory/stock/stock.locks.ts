import { columnsOf } from '../../platform/database/fragments';
import { prepared } from '../../platform/database/prepared';
import type { LockWait } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';
import { StockLevel } from './stock.entity';

export interface LevelKey {
  readonly productId: string;
  readonly warehouseId: string;
}

/** The key of a level as a string, equal only for the same level. */
export function keyOf({ productId, warehouseId }: LevelKey): string {
  return `${productId}/${warehouseId}`;
}

/**
 * Locks every level of these products. Here and below always in the order of (product, warehouse), so that two
 * transactions that need the same rows do not deadlock.
 */
export function lockLevelsOf(tx: Tx, productIds: readonly string[], lockWait: LockWait): Promise<StockLevel[]> {
  return lockWhere(tx, 'product_id = ANY($1)', [productIds], lockWait);
}

/** Locks these levels. */
export function lockLevels(tx: Tx, keys: readonly LevelKey[]): Promise<StockLevel[]> {
  const condition = '(product_id, warehouse_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))';
  return lockWhere(tx, condition, [keys.map((key) => key.productId), keys.map((key) => key.warehouseId)], 'wait');
}

/** What TypeORM calls `pessimistic_write`, written as SQL so that it is sent at once, before any later statement. */
function lockWhere(
  tx: Tx,
  condition: string,
  values: (readonly string[])[],
  lockWait: LockWait,
): Promise<StockLevel[]> {
  const sql = `SELECT ${columnsOf(StockLevel).text} FROM stock_levels WHERE ${condition}
    ORDER BY product_id, warehouse_id FOR UPDATE ${lockWait === 'skip' ? 'SKIP LOCKED' : ''}`;
  return tx.query<StockLevel[]>(prepared(sql), values);
}
