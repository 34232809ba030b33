import { prepared } from '../../platform/database/prepared';
import type { LockOptions } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';
import type { StockLevel } from './stock.entity';

export interface LevelKey {
  readonly productId: string;
  readonly warehouseId: string;
}

/** The same for two keys of one level, and for no others. */
export function keyOf({ productId, warehouseId }: LevelKey): string {
  return `${productId}/${warehouseId}`;
}

/** Levels that are locked, and the database's time when the last of them was; undefined if there are none. */
export interface LockedLevels {
  readonly levels: StockLevel[];
  readonly now: Date | undefined;
}

/**
 * Locks every level of these products. Always in the order of (product, warehouse), here and below, so that two
 * transactions which want the same rows queue up instead of waiting for each other.
 */
export function lockLevelsOf(tx: Tx, productIds: readonly string[], options: LockOptions): Promise<LockedLevels> {
  return lockWhere(tx, 'product_id = ANY($1)', [productIds], options);
}

/** Locks these levels. */
export function lockLevels(
  tx: Tx,
  keys: readonly LevelKey[],
  options: LockOptions = { skipLocked: false },
): Promise<LockedLevels> {
  const condition = '(product_id, warehouse_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))';
  const values = [keys.map((key) => key.productId), keys.map((key) => key.warehouseId)];
  return lockWhere(tx, condition, values, options);
}

/**
 * What TypeORM calls `pessimistic_write`, spelled out so that it is sent at once, before what is sent after it. The
 * clock is read outside the part that locks, that is for each row when it is locked: the last row has the latest.
 */
async function lockWhere(
  tx: Tx,
  condition: string,
  values: (readonly string[])[],
  { skipLocked }: LockOptions,
): Promise<LockedLevels> {
  const sql = `WITH locked AS MATERIALIZED (
       SELECT * FROM stock_levels WHERE ${condition} ORDER BY product_id, warehouse_id
       FOR UPDATE ${skipLocked ? 'SKIP LOCKED' : ''}
     )
     SELECT product_id AS "productId", warehouse_id AS "warehouseId", available, reserved, total,
       date_trunc('milliseconds', clock_timestamp()) AS "lockedAt" FROM locked`;
  const levels = await tx.query<(StockLevel & { lockedAt: Date })[]>(prepared(sql), values);
  return { levels, now: levels.at(-1)?.lockedAt };
}
