import type { Tx } from '../../platform/database/tx';
import { StockLevel } from './stock.entity';

export interface LevelKey {
  readonly productId: string;
  readonly warehouseId: string;
}

/**
 * Locks every level of these products. Always in the order of (product, warehouse), here and below, so that two
 * transactions which want the same rows queue up instead of waiting for each other.
 */
export function lockLevelsOf(tx: Tx, productIds: readonly string[]): Promise<StockLevel[]> {
  return lockWhere(tx, 'level.productId = ANY(:productIds)', { productIds: [...new Set(productIds)] });
}

/** Locks these levels. */
export function lockLevels(tx: Tx, keys: readonly LevelKey[]): Promise<StockLevel[]> {
  return lockWhere(
    tx,
    '(level.productId, level.warehouseId) IN (SELECT * FROM unnest(:products::uuid[], :warehouses::uuid[]))',
    {
      products: keys.map((key) => key.productId),
      warehouses: keys.map((key) => key.warehouseId),
    },
  );
}

function lockWhere(tx: Tx, condition: string, parameters: object): Promise<StockLevel[]> {
  return tx
    .createQueryBuilder(StockLevel, 'level')
    .setLock('pessimistic_write')
    .where(condition, parameters)
    .orderBy('level.productId')
    .addOrderBy('level.warehouseId')
    .getMany();
}
