import type { EntityManager } from 'typeorm';
import { prepared } from '../../platform/database/prepared';
import { AvailableStock } from '../stock/available-stock';
import type { ProductOnSale, Source } from '../stock/order-lines';
import type { StockLevel } from '../stock/stock.entity';
import { keyOf } from '../stock/stock.locks';

/** If so many holds are overdue, those of any product may be among them: it is not worth looking at every one. */
const MANY = 100;

/**
 * One statement, so that all of it is of one moment; and JSON, because a lone request pays for each statement and each row
 * that it needs. Overdue holds are found first, by their own index and up to a limit: the planner, who cannot know how few
 * they are, might read all the items of a product that sells well.
 */
const SEEN = `
  WITH overdue AS MATERIALIZED (
    SELECT id FROM reservations WHERE status = 'active' AND expires_at <= statement_timestamp()
    ORDER BY expires_at LIMIT ${MANY}
  ), held AS MATERIALIZED (
    SELECT item.product_id, item.warehouse_id, sum(item.quantity)::int AS quantity
    FROM overdue JOIN reservation_items AS item ON item.reservation_id = overdue.id
    GROUP BY item.product_id, item.warehouse_id
  )
  SELECT
    date_trunc('milliseconds', statement_timestamp()) AS now,
    (SELECT json_agg(product) FROM (
      SELECT id, sku, name, price::text, currency, is_active AS "isActive" FROM products WHERE id = ANY($1)
    ) AS product) AS products,
    (SELECT json_agg(warehouse) FROM (
      SELECT id, is_active AS "isActive" FROM warehouses ORDER BY priority, id
    ) AS warehouse) AS warehouses,
    (SELECT json_agg(level) FROM (
      SELECT product_id AS "productId", warehouse_id AS "warehouseId", available, reserved, total,
        CASE WHEN (SELECT count(*) FROM overdue) = ${MANY} THEN reserved ELSE coalesce(held.quantity, 0) END AS overdue
      FROM stock_levels LEFT JOIN held USING (product_id, warehouse_id) WHERE product_id = ANY($1)
    ) AS level) AS levels`;

interface Row {
  now: Date;
  products: ProductOnSale[] | null;
  warehouses: Source[];
  levels: SeenLevel[] | null;
}

interface SeenLevel extends StockLevel {
  /** How many pieces overdue holds still have, at the most. */
  overdue: number;
}

/** What can be seen of some products without a lock. */
export interface SeenStock {
  readonly now: Date;
  readonly stock: AvailableStock;
}

/** Products, levels and overdue holds as they are at one moment. The statement is sent before this returns. */
export async function lookAtStock(manager: EntityManager, productIds: readonly string[]): Promise<SeenStock> {
  const [row] = await manager.query<Row[]>(prepared(SEEN), [productIds]);
  const { now, products, warehouses, levels } = row!;
  const catalogue = { products: byId(products ?? []), warehouses: byId(warehouses) };
  const overdue = (levels ?? []).flatMap((level) =>
    level.overdue > 0 ? [[keyOf(level), level.overdue] as const] : [],
  );
  return { now, stock: new AvailableStock(catalogue, levels ?? [], new Map(overdue)) };
}

function byId<Row extends { id: string }>(rows: readonly Row[]): Map<string, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}
