import type { EntityManager } from 'typeorm';
import type { ProductStockLevelResponse, StockSums } from './products.dto';

/**
 * Pieces of holds that are over but not yet swept. Readers see them as available again: a hold expires exactly at
 * `expires_at`, not when it is swept. There are seldom any, and a partial index finds them. It could not serve
 * `clock_timestamp()`, which changes from row to row. OFFSET 0 makes the planner look up the items of each hold: with a
 * join it might read all items of a hot product.
 */
export const OVERDUE = `
  SELECT item.product_id, item.warehouse_id, sum(item.quantity)::int AS quantity
  FROM reservations AS reservation CROSS JOIN LATERAL (
    SELECT * FROM reservation_items WHERE reservation_id = reservation.id OFFSET 0) AS item
  WHERE reservation.status = 'active' AND reservation.expires_at <= statement_timestamp()
  GROUP BY item.product_id, item.warehouse_id`;

const LEVELS = `
  WITH overdue AS MATERIALIZED (${OVERDUE})
  SELECT level.product_id, level.warehouse_id, warehouse.code AS warehouse_code,
    level.available + coalesce(overdue.quantity, 0) AS available_stock,
    level.reserved - coalesce(overdue.quantity, 0) AS reserved_stock,
    level.total AS total_stock
  FROM stock_levels AS level
  JOIN warehouses AS warehouse ON warehouse.id = level.warehouse_id
  LEFT JOIN overdue ON overdue.product_id = level.product_id AND overdue.warehouse_id = level.warehouse_id
  WHERE level.product_id = ANY($1)
  ORDER BY warehouse.priority, warehouse.id`;

type LevelRow = ProductStockLevelResponse & { product_id: string };

/** The levels of one product, in the order in which the warehouses serve. */
export async function findLevels(manager: EntityManager, productId: string): Promise<ProductStockLevelResponse[]> {
  const rows = await manager.query<LevelRow[]>(LEVELS, [[productId]]);
  return rows.map(({ product_id: _, ...level }) => level);
}

/** The stock of each product, summed over the warehouses. */
export async function findStockSums(manager: EntityManager, productIds: string[]): Promise<Map<string, StockSums>> {
  const rows = await manager.query<LevelRow[]>(LEVELS, [productIds]);
  const sums = new Map<string, StockSums>(productIds.map((id) => [id, { available: 0, reserved: 0 }]));
  for (const row of rows) {
    const sum = sums.get(row.product_id)!;
    sum.available += row.available_stock;
    sum.reserved += row.reserved_stock;
  }
  return sums;
}
