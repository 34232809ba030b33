import type { EntityManager } from 'typeorm';
import { prepared } from '../../platform/database/prepared';
import { AvailableStock } from '../stock/available-stock';
import type { ProductOnSale, Source } from '../stock/order-lines';
import type { StockLevel } from '../stock/stock.entity';
import { keyOf, type LevelKey } from '../stock/stock.locks';

/** If so many holds are overdue, those of any product may be among them: it is not worth looking at every one. */
const MANY = 100;

/** JSON, because a lone request pays for each statement and each row that it needs. */
const STOCK = `
    date_trunc('milliseconds', statement_timestamp()) AS now,
    (SELECT json_agg(product) FROM (
      SELECT id, sku, name, price::text, currency, is_active AS "isActive" FROM products WHERE id = ANY($1)
    ) AS product) AS products,
    (SELECT json_agg(warehouse) FROM (
      SELECT id, is_active AS "isActive" FROM warehouses ORDER BY priority, id
    ) AS warehouse) AS warehouses,
    (SELECT json_agg(level) FROM (
      SELECT product_id AS "productId", warehouse_id AS "warehouseId", available, reserved, total
      FROM stock_levels WHERE product_id = ANY($1)
    ) AS level) AS levels`;

const SEEN = `
  SELECT ${STOCK},
    EXISTS (SELECT FROM reservations WHERE status = 'active' AND expires_at <= statement_timestamp()) AS "isAnyOverdue"`;

/**
 * The same with what overdue holds have, all of one moment. These are found first, by their own index and up to a limit, and
 * OFFSET 0 has the items looked up for each: the planner, who cannot know how few they are, might read all the items of a
 * product that sells well.
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
  /** What overdue holds have of these products. */
  held: (LevelKey & { quantity: number })[] | null;
  /** Whether so many holds are overdue that all that is reserved may be. */
  areManyOverdue: boolean;
}

/** What can be seen of some products without a lock. */
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

/** How many pieces of each level overdue holds still have, at the most. */
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
