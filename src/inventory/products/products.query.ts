import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import type { Select } from '../../platform/database/estimate';
import type { Position } from '../../platform/http/cursor';
import type { ProductsQuery, ProductStockLevelResponse, StockSums } from './products.dto';
import { Product } from './product.entity';

/**
 * Pieces whose hold is over although the sweep has not seen it yet. To every reader they are available again: a hold
 * ends at its moment, not when somebody tidies up. There are seldom any, and a partial index finds them, which it could
 * not with `clock_timestamp()`: that changes from row to row. OFFSET 0 has the items looked up for each of them: as a
 * join, the planner might read all the items of a hot product.
 */
const OVERDUE = `
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

/** One more than `limit` products after a position, newest first. */
export function findProducts(
  manager: EntityManager,
  query: ProductsQuery,
  after: Position | undefined,
): Promise<Product[]> {
  return productsQuery(manager, query, after).getMany();
}

/** So many products are looked at one by one, the newest first, before all of them are searched. */
const NEAR = 1000;

/**
 * The statement of `findProducts`. What is common is found among the newest products; a page that does not fill from
 * those asks for what is rare, and an index of trigrams, or one look at all levels, finds that sooner than going on. As
 * the planner cannot know which it is, the second way is only begun when the first has failed.
 */
export function productsQuery(
  manager: EntityManager,
  { q, in_stock: inStock, include_inactive: includeInactive, limit }: ProductsQuery,
  after: Position | undefined,
): SelectQueryBuilder<Product> {
  const listed = [
    ...(includeInactive ? [] : ['is_active']),
    ...(after ? ['(created_at, id) < (:value::timestamptz, :id::uuid)'] : []),
  ];
  const searched = q === undefined ? [] : ['(sku ILIKE :pattern OR name ILIKE :pattern)'];
  const stocked = (fence: string): string[] => (inStock === undefined ? [] : [hasStock(inStock, fence)]);
  const walk = (count: string): string =>
    `SELECT * FROM products ${where(listed)} ORDER BY created_at DESC, id DESC LIMIT ${count}`;
  const found = `
    WITH overdue AS MATERIALIZED (${OVERDUE}), near AS MATERIALIZED (
      SELECT id, created_at FROM (${walk(`${NEAR}`)}) AS newest ${where([...searched, ...stocked('OFFSET 0')])} LIMIT :count
    ), far AS MATERIALIZED (
      SELECT id, created_at FROM products AS newest
      ${where(['(SELECT count(*) FROM near) < :count', ...listed, ...searched, ...stocked('')])}
    )
    SELECT id FROM (SELECT * FROM near UNION SELECT * FROM far) AS found ORDER BY created_at DESC, id DESC LIMIT :count`;
  const isPlain = q === undefined && inStock === undefined;
  const ids = isPlain ? `SELECT id FROM (${walk(':count')}) AS newest` : found;
  return manager
    .createQueryBuilder(Product, 'product')
    .where(`product.id = ANY (ARRAY(${ids}))`, { ...after, count: limit + 1, pattern: patternOf(q ?? '') })
    .orderBy('product.createdAt', 'DESC')
    .addOrderBy('product.id', 'DESC');
}

/** All of them in no order, for an estimate. */
export function selectProducts({ q, in_stock: inStock, include_inactive: includeInactive }: ProductsQuery): Select {
  const isStocked = 'EXISTS (SELECT FROM stock_levels WHERE product_id = products.id AND available > 0)';
  const conditions = [
    ...(includeInactive ? [] : ['is_active']),
    ...(q === undefined ? [] : ['(sku ILIKE $1 OR name ILIKE $1)']),
    ...(inStock === undefined ? [] : [inStock ? isStocked : `NOT ${isStocked}`]),
  ];
  return { sql: `SELECT FROM products ${where(conditions)}`, values: q === undefined ? [] : [patternOf(q)] };
}

/** @param fence `OFFSET 0` if it is to be looked up for each product */
function hasStock(inStock: boolean, fence: string): string {
  return `${inStock ? '' : 'NOT'} EXISTS (
    SELECT FROM (SELECT product_id FROM stock_levels WHERE available > 0 UNION ALL SELECT product_id FROM overdue) AS stocked
    WHERE stocked.product_id = newest.id ${fence})`;
}

function patternOf(part: string): string {
  return `%${part.replace(/[\\%_]/g, '\\$&')}%`;
}

function where(conditions: readonly string[]): string {
  return conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
}
