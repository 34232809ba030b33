import type { EntityManager } from 'typeorm';
import type { Position } from '../../platform/http/cursor';
import type { ProductsQuery, ProductStockLevelResponse, StockSums } from './products.dto';
import { Product } from './product.entity';

/**
 * Pieces whose hold is over although the sweep has not seen it yet. To every reader they are available again: a hold
 * ends at its moment, not when somebody tidies up. There are seldom any, and a partial index finds them, which it could
 * not with `clock_timestamp()`: that changes from row to row.
 */
const overdue = (condition: string): string => `
  SELECT item.product_id, item.warehouse_id, sum(item.quantity)::int AS quantity
  FROM reservations AS reservation JOIN reservation_items AS item ON item.reservation_id = reservation.id
  WHERE reservation.status = 'active' AND reservation.expires_at <= statement_timestamp() AND ${condition}
  GROUP BY item.product_id, item.warehouse_id`;

const LEVELS = `
  WITH overdue AS MATERIALIZED (${overdue('item.product_id = ANY($1)')})
  SELECT level.product_id, level.warehouse_id, warehouse.code AS warehouse_code,
    level.available + coalesce(overdue.quantity, 0) AS available_stock,
    level.reserved - coalesce(overdue.quantity, 0) AS reserved_stock,
    level.total AS total_stock
  FROM stock_levels AS level
  JOIN warehouses AS warehouse ON warehouse.id = level.warehouse_id
  LEFT JOIN overdue ON overdue.product_id = level.product_id AND overdue.warehouse_id = level.warehouse_id
  WHERE level.product_id = ANY($1)
  ORDER BY warehouse.priority, warehouse.id`;

const HAS_STOCK = `EXISTS (
  SELECT FROM stock_levels AS level WHERE level.product_id = product.id AND level.available > 0)
  OR product.id IN (SELECT product_id FROM (${overdue('true')}) AS overdue)`;

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

/** One more than `limit` products after a position, newest first. */
export function findProducts(
  manager: EntityManager,
  { q, in_stock: inStock, include_inactive: includeInactive, limit }: ProductsQuery,
  after: Position | undefined,
): Promise<Product[]> {
  const query = manager
    .createQueryBuilder(Product, 'product')
    .orderBy('product.createdAt', 'DESC')
    .addOrderBy('product.id', 'DESC');
  if (!includeInactive) {
    query.andWhere('product.isActive');
  }
  if (q !== undefined) {
    query.andWhere('(product.sku ILIKE :pattern OR product.name ILIKE :pattern)', {
      pattern: `%${q.replace(/[\\%_]/g, '\\$&')}%`,
    });
  }
  if (inStock !== undefined) {
    query.andWhere(inStock ? `(${HAS_STOCK})` : `NOT (${HAS_STOCK})`);
  }
  if (after) {
    query.andWhere('(product.createdAt, product.id) < (:value, :id)', after);
  }
  return query.limit(limit + 1).getMany();
}
