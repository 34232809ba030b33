import sql, { raw, type Sql } from 'sql-template-tag';
import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import type { Position } from '../../platform/http/cursor';
import type { ProductsQuery } from './products.dto';
import { Product } from './product.entity';
import { OVERDUE } from './products.query';

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
/** From so many products on that have the pieces of what is looked for, looking at every text takes no longer. */
const COMMON = 10_000;

/** What is searched, as the indexes have it. None of the three can have two lines, so nothing is found across them. */
const TEXT = "(sku || E'\\n' || name)";
/** Three letters or digits in a row. Without them the index of trigrams would be read from end to end. */
const TRIGRAM = /[\p{L}\p{N}]{3}/u;

/** What can be asked of products without their texts, in columns that are called as theirs are. */
const AVAILABILITY = '(SELECT product_id AS id, created_at, is_active, is_in_stock FROM product_availability)';
const NEWEST_FIRST = 'ORDER BY created_at DESC, id DESC';
/** Their holds are over, so they are in stock, although the triggers have not seen it yet. */
const IS_OVERDUE = 'id IN (SELECT product_id FROM overdue)';

/** The statement of `findProducts`. */
export function productsQuery(
  manager: EntityManager,
  query: ProductsQuery,
  after: Position | undefined,
): SelectQueryBuilder<Product> {
  const { q, limit } = query;
  const walk = walkOf(query, after);
  const ids = q
    ? searchOf(query, after, walk)
    : `${withParts(overdueFor(query))} SELECT id FROM (${walk(':count')}) AS page`;
  return manager
    .createQueryBuilder(Product, 'product')
    .where(`product.id = ANY (ARRAY(${ids}))`, { ...after, count: limit + 1, q, pattern: patternOf(q ?? '') })
    .orderBy('product.createdAt', 'DESC')
    .addOrderBy('product.id', 'DESC');
}

/** All of them in no order, for an estimate: the columns have better statistics than the text that is searched. */
export function selectProducts({ q, in_stock: inStock, include_inactive: includeInactive }: ProductsQuery): Sql {
  const listed = includeInactive ? [] : ['is_active'];
  const stated = inStock === undefined ? [] : [inStock ? 'is_in_stock' : 'NOT is_in_stock'];
  if (q === undefined) {
    const from = inStock === undefined ? 'products' : 'product_availability';
    return raw(`SELECT FROM ${from} ${where([...listed, ...stated])}`);
  }
  const among = stated.map((state) => `id IN (SELECT product_id FROM product_availability WHERE ${state})`);
  const rest = raw(['', ...listed, ...among].join(' AND '));
  return sql`SELECT FROM products WHERE (sku ILIKE ${patternOf(q)} OR name ILIKE ${patternOf(q)}) ${rest}`;
}

type Walk = (count: string) => string;

/** The newest that meet all conditions but that of a text, by a range of an index: as quick for what is rare. */
function walkOf(query: ProductsQuery, after: Position | undefined): Walk {
  const { in_stock: inStock, include_inactive: includeInactive } = query;
  const further = furtherThan(after);
  const newestOf = (from: string, conditions: string[], count: string): string =>
    `SELECT * FROM ${from} AS product ${where([...conditions, ...further])} ${NEWEST_FIRST} LIMIT ${count}`;
  if (inStock === undefined) {
    return (count) => newestOf('products', includeInactive ? [] : ['is_active'], count);
  }
  const ranges = (includeInactive ? ['is_active', 'NOT is_active'] : ['is_active']).map((activity) =>
    inStock ? [activity, 'is_in_stock'] : [activity, 'NOT is_in_stock', `NOT ${IS_OVERDUE}`],
  );
  const others = inStock ? [overdueOf([...(includeInactive ? [] : ['is_active']), ...further])] : [];
  return (count) => {
    const ways = [...ranges.map((range) => `(${newestOf(AVAILABILITY, range, count)})`), ...others];
    return `SELECT * FROM (${ways.join(' UNION ALL ')}) AS stated ${NEWEST_FIRST} LIMIT ${count}`;
  };
}

/** Those that are in stock by holds that are over. OFFSET 0 has each looked up, as in `OVERDUE`. */
function overdueOf(conditions: string[]): string {
  return `
    SELECT product.* FROM (SELECT DISTINCT product_id FROM overdue) AS due CROSS JOIN LATERAL (
      SELECT * FROM ${AVAILABILITY} AS one WHERE id = due.product_id OFFSET 0) AS product
    ${where(['NOT is_in_stock', ...conditions])}`;
}

/**
 * What is common is found among the newest products; a page that does not fill from those asks for what is rare, and an
 * index of the texts finds that sooner than going on. As the planner cannot know which it is, the second way is only
 * begun when the first has failed and has not seen all.
 */
function searchOf(query: ProductsQuery, after: Position | undefined, walk: Walk): string {
  const { q, in_stock: inStock, include_inactive: includeInactive } = query;
  const hasTrigram = TRIGRAM.test(q!);
  const listed = [...(includeInactive ? [] : ['is_active']), ...furtherThan(after)];
  const farOf = (from: string, ...gates: string[]): string =>
    `SELECT id, created_at FROM ${from} ${where(['(SELECT * FROM has_failed)', ...gates, ...listed, SEARCHED])}`;
  const far = hasTrigram
    ? [farOf('products')]
    : [farOf('with_pieces', '(SELECT * FROM is_rare)'), farOf('products', 'NOT (SELECT * FROM is_rare)')];
  const parts = [
    ...overdueFor(query),
    `newest AS MATERIALIZED (${inStock === undefined ? walk(`${NEAR}`) : withTexts(walk(`${NEAR}`))})`,
    `near AS MATERIALIZED (SELECT id, created_at FROM newest ${where([SEARCHED])} LIMIT :count)`,
    `has_failed AS MATERIALIZED (
      SELECT (SELECT count(*) FROM near) < :count AND (SELECT count(*) FROM newest) = ${NEAR})`,
    ...(hasTrigram ? [] : PIECES),
    `far AS MATERIALIZED (${newestIn(inStock, far.join(' UNION ALL '))})`,
  ];
  return `${withParts(parts)}
    SELECT id FROM (SELECT * FROM near UNION SELECT * FROM far) AS found ${NEWEST_FIRST} LIMIT :count`;
}

const SEARCHED = `${TEXT} ILIKE :pattern`;

/** Whatever has all pairs of signs has the signs, whose lists are long. */
const SOUGHT = 'CASE WHEN length(:q) = 1 THEN pieces_of(:q) ELSE (pieces_of(:q))[length(lower(:q)) + 1:] END';
/** By themselves, so that nothing but the index can answer: as a filter of rows, `pieces_of` takes 40 µs for each. */
const PIECES = [
  `with_pieces AS MATERIALIZED (SELECT id, sku, name, created_at, is_active FROM products WHERE pieces_of(${TEXT}) @> (${SOUGHT}))`,
  `is_rare AS MATERIALIZED (SELECT count(*) < ${COMMON} FROM (SELECT FROM with_pieces LIMIT ${COMMON}) AS first)`,
];

/** One after the other, as far as they are asked for: OFFSET 0 keeps the planner from reading all texts instead. */
function withTexts(walk: string): string {
  return `
    SELECT walked.id, walked.created_at, sku, name FROM (${walk}) AS walked CROSS JOIN LATERAL (
      SELECT sku, name FROM products WHERE id = walked.id OFFSET 0) AS text
    ORDER BY walked.created_at DESC, walked.id DESC`;
}

/**
 * The newest of those that a text has found. OFFSET 0 keeps the planner from following their order to find them, which
 * is long where they are old. With a state they are looked up, one after the other, until they are enough.
 */
function newestIn(inStock: boolean | undefined, found: string): string {
  const sorted = `SELECT * FROM (${found} OFFSET 0) AS found ${NEWEST_FIRST}`;
  if (inStock === undefined) {
    return `${sorted} LIMIT :count`;
  }
  const isStocked = `(
    EXISTS (SELECT FROM product_availability WHERE product_id = product.id AND is_in_stock OFFSET 0) OR ${IS_OVERDUE})`;
  return `
    SELECT * FROM (${sorted} OFFSET 0) AS product ${where([inStock ? isStocked : `NOT ${isStocked}`])} LIMIT :count`;
}

function furtherThan(after: Position | undefined): string[] {
  return after ? ['(created_at, id) < (:value::timestamptz, :id::uuid)'] : [];
}

function overdueFor({ in_stock: inStock }: ProductsQuery): string[] {
  return inStock === undefined ? [] : [`overdue AS MATERIALIZED (${OVERDUE})`];
}

function withParts(parts: readonly string[]): string {
  return parts.length > 0 ? `WITH ${parts.join(', ')}` : '';
}

function patternOf(part: string): string {
  return `%${part.replace(/[\\%_]/g, '\\$&')}%`;
}

function where(conditions: readonly string[]): string {
  return conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
}
