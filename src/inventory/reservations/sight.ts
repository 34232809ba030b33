import type { EntityManager } from 'typeorm';
import { prepared } from '../../platform/database/prepared';
import type { StoredAnswer } from '../../platform/idempotency/idempotency-keys';
import type { Supply } from './allocation';
import type { ProductOnSale, Source } from './reservation-lines';
import type { Assortment } from './shelf';

/** What there is, seen without a lock, but after the requests that it is seen for had arrived. */
export interface Sight {
  readonly assortment: Assortment;
  readonly levels: readonly Supply[];
  /** What earlier requests with the keys of these were answered, by identity. */
  readonly answered: ReadonlyMap<string, StoredAnswer>;
}

/** One statement, and JSON, because a lone request pays for each statement and each row that it needs. */
const SEEN = `
  SELECT
    (SELECT json_agg(product) FROM (
      SELECT id, sku, name, price::text, currency, is_active AS "isActive" FROM products WHERE id = ANY($1)
    ) AS product) AS products,
    (SELECT json_agg(warehouse) FROM (
      SELECT id, is_active AS "isActive" FROM warehouses ORDER BY priority, id
    ) AS warehouse) AS warehouses,
    (SELECT json_agg(level) FROM (
      SELECT product_id AS "productId", warehouse_id AS "warehouseId", available
      FROM stock_levels WHERE product_id = ANY($1)
    ) AS level) AS levels`;

interface Seen {
  products: ProductOnSale[] | null;
  warehouses: Source[];
  levels: Supply[] | null;
}

/** Products and their levels as they are at one moment. The statement is sent before this returns. */
export async function lookAt(manager: EntityManager, productIds: string[]): Promise<Omit<Sight, 'answered'>> {
  const [seen] = await manager.query<Seen[]>(prepared(SEEN), [productIds]);
  const { products, warehouses, levels } = seen!;
  return { assortment: { products: byId(products ?? []), warehouses: byId(warehouses) }, levels: levels ?? [] };
}

function byId<Row extends { id: string }>(rows: readonly Row[]): Map<string, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}
