import sql, { type Sql } from 'sql-template-tag';
import { MAIN_WAREHOUSE_ID } from '../inventory/warehouses/warehouse.entity';
import { FOUNDED_BEFORE_MS } from './drawing.query';
import type { SeedPlan } from './seed-plan';

const ADJECTIVES = 'Small Large Plain Striped Dotted Round Classic Modern Light Sturdy'.split(' ');
const COLOURS = 'white grey black red blue green yellow brown'.split(' ');
/** Each costs about a quarter more than the one before. */
const GOODS = 'spoon coaster mug bowl plate jar vase tray basket cushion clock blanket lamp stool chair rug desk sofa';
const DESCRIPTION = 'Made to last.';

export function drawProducts({ products, startMs, tag }: SeedPlan): Sql {
  const goods = GOODS.split(' ');
  return sql`
    CREATE TEMP TABLE seed_products AS
    SELECT i, pg_temp.id(ms, i, 'product') AS id, upper(good) || '-' || i || '-' || upper(${tag}) AS sku,
      concat_ws(' ', ${oneOf(ADJECTIVES, 'adjective')}, ${oneOf(COLOURS, 'colour')}, good) AS name,
      (round((5 * power(1.27, g) * (0.7 + 0.8 * pg_temp.draw(i, 'price')))::numeric) - 0.1)::numeric(14, 2) AS price,
      20 + (180 * pg_temp.draw(i, 'stock'))::int AS stock, ms
    FROM generate_series(1, ${products}::int) AS i
    CROSS JOIN LATERAL (SELECT floor(${goods.length} * pg_temp.draw(i, 'good'))::int AS g,
      ${startMs}::bigint - (${FOUNDED_BEFORE_MS} * pg_temp.draw(i, 'launch'))::bigint AS ms) AS drawn
    CROSS JOIN LATERAL (SELECT (${goods}::text[])[1 + g] AS good) AS named`;
}

function oneOf(words: string[], what: string): Sql {
  return sql`(${words}::text[])[1 + floor(${words.length} * pg_temp.draw(i, ${what}))::int]`;
}

/** Writes the drawn products, without their sales. */
export const WRITE_CATALOGUE = [
  /**
   * Inactive until the history is complete: otherwise a sale of today could come before rows that are yet to be
   * written.
   */
  sql`
    INSERT INTO products (id, sku, name, description, price, currency, is_active, low_stock_threshold, created_at, updated_at)
    SELECT id, sku, name, ${DESCRIPTION}, price, 'EUR', false, 10, pg_temp.moment(ms), pg_temp.moment(ms)
    FROM seed_products ORDER BY ms`,

  sql`
    INSERT INTO stock_levels (product_id, warehouse_id, available, reserved, total)
    SELECT id, ${MAIN_WAREHOUSE_ID}::uuid, stock, 0, stock FROM seed_products`,

  sql`
    INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after,
      reserved_after, actor, request_id, created_at)
    SELECT pg_temp.id(ms, i, 'initial stock'), id, ${MAIN_WAREHOUSE_ID}::uuid, 'initial', stock, 0, stock, 0,
      pg_temp.staff(), pg_temp.id(ms, i, 'product request'), pg_temp.moment(ms)
    FROM seed_products`,

  sql`
    INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id, created_at, xid)
    SELECT pg_temp.id(ms, i, 'product audit'), pg_temp.staff(), 'product.created', 'product', id,
      jsonb_build_object('sku', sku, 'name', name, 'description', ${DESCRIPTION}::text, 'price', price::text,
        'currency', 'EUR', 'is_active', true, 'low_stock_threshold', 10, 'initial_stock', stock,
        'warehouse_id', ${MAIN_WAREHOUSE_ID}::text),
      pg_temp.id(ms, i, 'product request'), pg_temp.moment(ms), NULL
    FROM seed_products`,
];

/** Activates the products, and updates the planner's statistics. */
export const COMPLETE = [
  sql`UPDATE products SET is_active = true WHERE id IN (SELECT id FROM seed_products)`,
  /** What is low on stock or out of it has been so for long: nobody is told. */
  sql`
    INSERT INTO product_alerts (product_id, state)
    SELECT id, CASE sum(available) WHEN 0 THEN 'out' ELSE 'low' END
    FROM products JOIN stock_levels ON product_id = id
    WHERE id IN (SELECT id FROM seed_products) GROUP BY id HAVING sum(available) <= low_stock_threshold`,
  sql`ANALYZE`,
];
