import sql, { type Sql } from 'sql-template-tag';
import { MAIN_WAREHOUSE_ID } from '../inventory/warehouses/warehouse.entity';
import { type Batch, DAY_MS, type SeedPlan } from './seed-plan';

/** Finds the first order of a batch, if the batch is there. */
export function findBatch({ first }: Batch): Sql {
  return sql`SELECT FROM orders WHERE id = pg_temp.id(pg_temp.order_made(${first}), ${first}, 'order')`;
}

/** Draws a batch into temporary tables that last until the end of its transaction. */
export function drawBatch(plan: SeedPlan, batch: Batch, maxHoldSeconds: number): Sql[] {
  return [drawLines(plan, batch), drawOrders(plan, batch, maxHoldSeconds), drawSteps(plan), drawDeliveries(batch)];
}

/** One to three products an order, mostly one piece of each. */
function drawLines({ products }: SeedPlan, { first, last }: Batch): Sql {
  return sql`
    CREATE TEMP TABLE seed_lines ON COMMIT DROP AS
    SELECT DISTINCT ON (n, i) n, i, key, id AS product_id, sku, name, price,
      1 + floor(5 * power(pg_temp.draw(key, 'quantity'), 6))::int AS quantity
    FROM generate_series(${first}::bigint, ${last}::bigint) AS n
    CROSS JOIN LATERAL generate_series(n * 4, n * 4 + floor(3 * power(pg_temp.draw(n, 'lines'), 2))::int) AS key
    CROSS JOIN LATERAL (SELECT 1 + floor(${products} * power(pg_temp.draw(key, 'product'), 2))::int AS i) AS drawn
    JOIN seed_products USING (i)
    ORDER BY n, i, key`;
}

/**
 * Who orders, when, and how each order ends. Every third order is from a new customer, one in twenty from the first
 * customer, the others from any existing one. Some orders of the last day are still pending. They are held from now on;
 * otherwise their holds would end before anybody sees them.
 */
function drawOrders({ orders, endMs }: SeedPlan, { first, last }: Batch, maxHoldSeconds: number): Sql {
  return sql`
    CREATE TEMP TABLE seed_orders ON COMMIT DROP AS
    WITH drawn AS MATERIALIZED (
      SELECT n, pg_temp.order_made(n) AS made_ms, pg_temp.draw(n, 'fate') AS lot, pg_temp.draw(n, 'pace') AS pace,
        CASE WHEN n % 3 = 1 THEN (n + 2) / 3
          WHEN pg_temp.draw(n, 'first customer') < 0.075 THEN 1
          ELSE 1 + floor((n + 2) / 3 * pg_temp.draw(n, 'customer'))::bigint END AS customer
      FROM generate_series(${first}::bigint, ${last}::bigint) AS n
    ), fated AS MATERIALIZED (
      SELECT *, pg_temp.user_id(customer) AS user_id,
        CASE WHEN n = ${orders} OR made_ms >= ${endMs - DAY_MS} AND lot < 0.2 THEN 'pending' WHEN lot < 0.03 THEN 'expire'
          WHEN lot < 0.055 THEN 'release' WHEN lot < 0.08 THEN 'restock' ELSE 'commit' END AS fate
      FROM drawn
    ), baskets AS (
      SELECT n, sum(quantity * price) AS total, jsonb_agg(jsonb_build_object('product_id', product_id, 'sku', sku,
        'warehouse_id', ${MAIN_WAREHOUSE_ID}::text, 'quantity', quantity, 'unit_price', price::text) ORDER BY product_id) AS items
      FROM seed_lines GROUP BY n
    )
    SELECT n, pg_temp.id(made_ms, n, 'order') AS id, pg_temp.id(made_ms, n, 'reservation') AS reservation_id, user_id,
      'user:' || user_id AS customer, fate, pace, total, items, made_ms,
      CASE fate WHEN 'pending' THEN (1000 * extract(epoch FROM statement_timestamp()))::bigint
        + (500 * (1 + pace) * ${maxHoldSeconds})::bigint
        ELSE made_ms + (600000 * (1 + pace))::bigint END AS expires_ms
    FROM fated JOIN baskets USING (n)`;
}

/**
 * The status changes of each order, and what each does to its hold and to the stock. A change happens so many seconds
 * after the order was made, or up to twice as many. Changes after the end of the history are left out.
 */
function drawSteps({ endMs }: SeedPlan): Sql {
  return sql`
    CREATE TEMP TABLE seed_steps ON COMMIT DROP AS
    SELECT n, step, from_status, to_status, hold, movement, available, reserved, reason, ms,
      CASE actor WHEN 'customer' THEN customer WHEN 'staff' THEN pg_temp.staff() ELSE actor END AS actor,
      pg_temp.id(ms, n * 8 + step, 'request') AS request_id
    FROM seed_orders AS orders
    JOIN (VALUES
      ('any', 0, NULL, 'pending', 0, 'active', 'reserve', -1, 1, 'customer', NULL),
      ('expire', 1, 'pending', 'cancelled', 600, 'expired', 'expire', 1, -1, 'system:reservation-expiry', 'the reservation expired'),
      ('release', 1, 'pending', 'cancelled', 200, 'cancelled', 'release', 1, -1, 'customer', 'changed my mind'),
      ('restock', 1, 'pending', 'confirmed', 100, 'committed', 'commit', 0, -1, 'customer', NULL),
      ('restock', 2, 'confirmed', 'cancelled', 500, NULL, 'restock', 1, 0, 'customer', 'changed my mind'),
      ('commit', 1, 'pending', 'confirmed', 100, 'committed', 'commit', 0, -1, 'customer', NULL),
      ('commit', 2, 'confirmed', 'processing', 14400, NULL, NULL, 0, 0, 'staff', NULL),
      ('commit', 3, 'processing', 'shipped', 86400, NULL, NULL, 0, 0, 'staff', NULL),
      ('commit', 4, 'shipped', 'delivered', 259200, NULL, NULL, 0, 0, 'staff', NULL)
    ) AS way (fate, step, from_status, to_status, seconds, hold, movement, available, reserved, actor, reason)
      ON way.fate IN ('any', orders.fate)
    CROSS JOIN LATERAL (SELECT made_ms + (seconds * 1000 * (1 + pace))::bigint AS ms) AS taken
    WHERE ms < ${endMs}`;
}

/** Stock that a batch lacks is delivered the night before: twice its demand. */
function drawDeliveries({ startMs }: Batch): Sql {
  return sql`
    CREATE TEMP TABLE seed_deliveries ON COMMIT DROP AS
    SELECT i, product_id, available, reserved, 2 * demand AS quantity, ${startMs}::bigint AS ms,
      pg_temp.id(${startMs}, i, 'delivery request') AS request_id
    FROM (SELECT i, product_id, sum(quantity)::int AS demand FROM seed_lines GROUP BY 1, 2) AS wanted
    JOIN stock_levels USING (product_id)
    WHERE warehouse_id = ${MAIN_WAREHOUSE_ID} AND available < demand`;
}
