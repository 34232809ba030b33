import type { EntityManager } from 'typeorm';
import type { ProductStockLevelResponse, StockSums } from './products.dto';

/**
 * Pieces whose hold is over although the sweep has not seen it yet. To every reader they are available again: a hold
 * ends at its moment, not when somebody tidies up. There are seldom any, and a partial index finds them, which it could
 * not with `clock_timestamp()`: that changes from row to row. OFFSET 0 has the items looked up for each of them: as a
 * join, the planner might read all the items of a hot product.
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

/** The levels of one product, in the order in which the warehouses are served from. */
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
