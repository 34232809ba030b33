import type { EntityManager } from 'typeorm';
import { prepared } from '../../platform/database/prepared';
import { AvailableStock } from '../stock/available-stock';
import type { ProductOnSale, Source } from '../stock/order-lines';
import type { StockLevel } from '../stock/stock.entity';
import { keyOf, type LevelKey } from '../stock/stock.locks';

/** With so many overdue holds, any product may be among them, and it does not pay to read each hold. */
const MANY = 100;

/**
 * JSON, because each row costs time, and a batch of one request pays for all of them. The ids are in a subquery so that
 * PostgreSQL expects the same cost however many they are; otherwise it makes a new plan for each short list.
 */
const STOCK = `
    date_trunc('milliseconds', statement_timestamp()) AS now,
    (SELECT json_agg(product) FROM (
      SELECT id, sku, name, price::text, currency, is_active AS "isActive" FROM products WHERE id = ANY((SELECT $1::uuid[])::uuid[])
    ) AS product) AS products,
    (SELECT json_agg(warehouse) FROM (
      SELECT id, is_active AS "isActive" FROM warehouses ORDER BY priority, id
    ) AS warehouse) AS warehouses,
    (SELECT json_agg(level) FROM (
      SELECT product_id AS "productId", warehouse_id AS "warehouseId", available, reserved, total
      FROM stock_levels WHERE product_id = ANY((SELECT $1::uuid[])::uuid[])
    ) AS level) AS levels`;

const SEEN = `
  SELECT ${STOCK},
    EXISTS (SELECT FROM reservations WHERE status = 'active' AND expires_at <= statement_timestamp()) AS "isAnyOverdue"`;

/**
 * The same, with the pieces of overdue holds, all at one moment. The holds are found first, by their own index and up to a
 * limit. OFFSET 0 makes PostgreSQL look up the items of each hold; otherwise it might read all items of a product that sells
 * well, because it cannot know how few holds are overdue.
 */
const SEEN_WITH_OVERDUE = `
  WITH overdue AS MATERIALIZED (
    SELECT id FROM reservations WHERE status = 'active' AND expires_at <= statement_timestamp()
    ORDER BY expires_at LIMIT ${MANY}
  )
  SELECT ${STOCK},
    (SELECT json_agg(held) FROM (
      SELECT item.product_id AS "productId", item.warehouse_id AS "warehouseId", item.quantity
      FROM overdue CROSS JOIN LATERAL (
        SELECT * FROM reservation_items WHERE reservation_id = overdue.id OFFSET 0) AS item
      WHERE item.product_id = ANY($1)
    ) AS held) AS held,
    (SELECT count(*) FROM overdue) = ${MANY} AS "areManyOverdue"`;

interface Seen {
  now: Date;
  products: ProductOnSale[] | null;
  warehouses: Source[];
  levels: StockLevel[] | null;
}

interface SeenWithOverdue extends Seen {
  /** The pieces of these products in overdue holds. */
  held: (LevelKey & { quantity: number })[] | null;
  /** Whether there are so many overdue holds that every reserved piece may belong to one. */
  areManyOverdue: boolean;
}

/** Stock of some products, read without a lock. */
export interface SeenStock {
  readonly now: Date;
  readonly stock: AvailableStock;
}

/** Products, levels and overdue holds as they are at one moment. The statement is sent before this returns. */
export async function lookAtStock(manager: EntityManager, productIds: readonly string[]): Promise<SeenStock> {
  const [seen] = await manager.query<(Seen & { isAnyOverdue: boolean })[]>(prepared(SEEN), [productIds]);
  if (!seen!.isAnyOverdue) {
    return asSeen(seen!, new Map());
  }
  const [later] = await manager.query<SeenWithOverdue[]>(SEEN_WITH_OVERDUE, [productIds]);
  return asSeen(later!, overdueOf(later!));
}

function asSeen({ now, products, warehouses, levels }: Seen, overdue: ReadonlyMap<string, number>): SeenStock {
  const catalogue = { products: byId(products ?? []), warehouses: byId(warehouses) };
  return { now, stock: new AvailableStock(catalogue, levels ?? [], overdue) };
}

/** The most pieces of each level that overdue holds may have. */
function overdueOf({ levels, held, areManyOverdue }: SeenWithOverdue): Map<string, number> {
  if (areManyOverdue) {
    const reserved = (levels ?? []).filter((level) => level.reserved > 0);
    return new Map(reserved.map((level) => [keyOf(level), level.reserved]));
  }
  const overdue = new Map<string, number>();
  for (const item of held ?? []) {
    overdue.set(keyOf(item), (overdue.get(keyOf(item)) ?? 0) + item.quantity);
  }
  return overdue;
}

function byId<Row extends { id: string }>(rows: readonly Row[]): Map<string, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}
