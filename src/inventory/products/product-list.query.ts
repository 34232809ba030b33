import sql, { empty, raw, type Sql } from 'sql-template-tag';
import type { EntityManager } from 'typeorm';
import { columnsOf, queryRows, where } from '../../platform/database/fragments';
import type { Position } from '../../platform/http/cursor';
import type { ProductsQuery } from './products.dto';
import { Product } from './product.entity';
import { OVERDUE } from './products.query';

const COLUMNS = columnsOf(Product);
const NEWEST_FIRST = sql`ORDER BY created_at DESC, id DESC`;
/** The same expression as in the trigram index. Neither text can contain a line break, so no match spans both. */
const TEXT = sql`(sku || E'\\n' || name)`;
/** How many of the newest products are looked up one by one before the levels of all are joined. */
const NEWEST_COUNT = 200;

/** One more than `limit` products after a position, newest first. One statement. */
export function findProducts(
  manager: EntityManager,
  query: ProductsQuery,
  after: Position | undefined,
): Promise<Product[]> {
  return queryRows(manager, productsQuery(query, after));
}

/** The statement of `findProducts`. */
export function productsQuery(query: ProductsQuery, after: Position | undefined): Sql {
  const { q, in_stock: inStock } = query;
  const count = query.limit + 1;
  const listed = [
    ...isListed(query),
    ...(q === undefined ? [] : [sql`${TEXT} ILIKE ${patternOf(q)}`]),
    ...(after ? [sql`(created_at, id) < (${after.value}::timestamptz, ${after.id}::uuid)`] : []),
  ];
  return inStock === undefined
    ? sql`SELECT ${COLUMNS} FROM products ${where(listed)} ${NEWEST_FIRST} LIMIT ${count}`
    : pageInState(listed, inStock, count);
}

/** All matching products, unsorted, for an estimate: the columns have better statistics than the indexed expression. */
export function selectProducts(query: ProductsQuery): Sql {
  const { q, in_stock: inStock } = query;
  const conditions = [
    ...isListed(query),
    ...(q === undefined ? [] : [sql`(sku ILIKE ${patternOf(q)} OR name ILIKE ${patternOf(q)})`]),
    ...(inStock === undefined ? [] : [sql`${inStock ? empty : raw('NOT')} ${hasLevel()}`]),
  ];
  return sql`SELECT FROM products AS product ${where(conditions)}`;
}

/**
 * Of the listed products, those in stock or those that are not. If many match, the newest fill the page. Otherwise the
 * levels of all products are joined, which is faster than following the order to the end. That second strategy only
 * runs if the first has not filled the page and has not seen all products. Pieces of overdue holds count as in stock:
 * decision 5.
 */
function pageInState(listed: readonly Sql[], inStock: boolean, count: number): Sql {
  const isInState = (level: Sql): Sql =>
    inStock ? level : sql`NOT ${level} AND id NOT IN (SELECT product_id FROM overdue)`;
  const hasFailed = sql`
    (SELECT (SELECT count(*) FROM near) < ${count} AND (SELECT count(*) FROM newest) = ${NEWEST_COUNT})`;
  const isDue = sql`id IN (SELECT product_id FROM overdue)`;
  const due = inStock ? sql`UNION SELECT id, created_at FROM products ${where([...listed, isDue])}` : empty;
  return sql`
    WITH overdue AS MATERIALIZED (${raw(OVERDUE)}), newest AS MATERIALIZED (
      SELECT id, created_at FROM products ${where(listed)} ${NEWEST_FIRST} LIMIT ${NEWEST_COUNT}
    ), near AS MATERIALIZED (
      SELECT * FROM newest AS product WHERE ${isInState(hasLevel(sql`OFFSET 0`))} LIMIT ${count}
    ), far AS MATERIALIZED (
      SELECT id, created_at FROM products AS product ${where([hasFailed, ...listed, isInState(hasLevel())])}
    )
    SELECT ${COLUMNS} FROM products WHERE id = ANY (ARRAY(
      SELECT id FROM (SELECT * FROM near UNION SELECT * FROM far ${due}) AS found ${NEWEST_FIRST} LIMIT ${count}
    )) ${NEWEST_FIRST}`;
}

/** Whether any of it is available anywhere. @param fence OFFSET 0 makes the planner look it up for each product */
function hasLevel(fence = empty): Sql {
  return sql`EXISTS (SELECT FROM stock_levels WHERE product_id = product.id AND available > 0 ${fence})`;
}

function isListed({ include_inactive: includeInactive }: ProductsQuery): Sql[] {
  return includeInactive ? [] : [sql`is_active`];
}

function patternOf(part: string): string {
  return `%${part.replace(/[\\%_]/g, '\\$&')}%`;
}
