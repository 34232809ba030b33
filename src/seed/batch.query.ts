import { draw, idOf, oneOf } from './drawing.query';

/** How much of a day's orders has come in by when, in minutes of the day: a quiet night, a busy evening. */
const CURVE = `ARRAY[10, 420, 500, 555, 600, 640, 680, 720, 760, 805, 850, 895, 940, 985, 1030, 1080, 1125, 1170, 1215,
  1270, 1400]::float8[]`;
const DRAWN_COLUMNS = 'n, user_i, fate, created_ms, ended_ms, restocked_ms, processing_ms, shipped_ms, delivered_ms';

/**
 * When each order is made, by whom, and what becomes of it when. Whatever moves stock is over by 23:59 of the day.
 * Every twentieth is the first customer's. Most others are of those who registered lately, and the rest mostly of those
 * who did long ago: some have hundreds of orders, many have one or none. $1 days, $2 their first orders, $3 how many of
 * them, $4 all orders, $5 all users, $6 from which order on some are pending
 */
export const DRAW_ORDERS = `
  INSERT INTO seed_draws (${DRAWN_COLUMNS})
  WITH placed AS (
    SELECT n, day_ms, (n - first_n + 0.5 + 0.9 * (${draw('n', 'moment')} - 0.5)) / orders * 20 AS place
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS day (day_ms, first_n, orders),
      generate_series(first_n, first_n + orders - 1) AS n
  ), made AS (
    SELECT n, day_ms, day_ms + (60000 * (curve[k + 1] + (curve[k + 2] - curve[k + 1]) * (place - k)))::bigint AS created_ms,
      CASE WHEN registered = 1 OR ${draw('n', 'kindOfUser')} < 0.05 THEN 1
        WHEN ${draw('n', 'kindOfUser')} < 0.65 THEN registered - floor(registered * 0.08 * power(${draw('n', 'user')}, 2))
        ELSE least(registered, 2 + floor(power(3 + (cbrt(registered + 26) - 3) * ${draw('n', 'user')}, 3) - 27)) END AS user_i,
      CASE WHEN n = $4 OR n >= $6::bigint AND ${draw('n', 'isPending')} < 0.2 THEN 'pending'
        WHEN ${draw('n', 'fate')} < 0.03 THEN 'expired'
        WHEN ${draw('n', 'fate')} < 0.055 THEN 'released'
        WHEN ${draw('n', 'fate')} < 0.08 THEN 'restocked'
        ELSE 'kept' END AS fate
    FROM placed, (SELECT ${CURVE} AS curve) AS daily, LATERAL (
      SELECT floor(place)::int AS k, 1 + ($5::bigint - 1) * n / $4::bigint AS registered) AS known
  ), held AS (
    SELECT *, CASE fate WHEN 'pending' THEN NULL
      WHEN 'expired' THEN created_ms + 600000 + (10000 * ${draw('n', 'hold')})::bigint
      ELSE created_ms + 20000 + (520000 * power(${draw('n', 'hold')}, 2))::bigint END AS ended_ms
    FROM made
  ), sent AS (
    SELECT *, CASE fate WHEN 'restocked'
        THEN ended_ms + 1000 + (${draw('n', 'restock')} * (day_ms + 86340000 - ended_ms - 1000))::bigint END AS restocked_ms,
      CASE fate WHEN 'kept' THEN ended_ms + (3600000 * (1 + 19 * ${draw('n', 'processing')}))::bigint END AS processing_ms
    FROM held
  ), shipped AS (
    SELECT *, processing_ms + (3600000 * (2 + 28 * ${draw('n', 'shipping')}))::bigint AS shipped_ms FROM sent
  ), delivered AS (
    SELECT *, shipped_ms + (3600000 * (18 + 78 * ${draw('n', 'delivery')}))::bigint AS delivered_ms FROM shipped
  )
  SELECT ${DRAWN_COLUMNS} FROM delivered ORDER BY n`;

/** What has not happened yet at the end of the past has not happened at all. $1 end */
export const CUT_OFF = `
  UPDATE seed_draws SET processing_ms = CASE WHEN processing_ms < $1::bigint THEN processing_ms END,
    shipped_ms = CASE WHEN shipped_ms < $1::bigint THEN shipped_ms END,
    delivered_ms = CASE WHEN delivered_ms < $1::bigint THEN delivered_ms END
  WHERE delivered_ms >= $1::bigint`;

/**
 * Who registers in this batch: each shortly before the first order that could be theirs. $1, $2 first and last order,
 * $3 all orders, $4 all users
 */
export const DRAW_USERS = `
  INSERT INTO seed_users (i, id, actor)
  SELECT i, id, 'user:' || id
  FROM generate_series(
    CASE $1::bigint WHEN 1 THEN 1 ELSE 2 + ($4::bigint - 1) * ($1::bigint - 1) / $3::bigint END,
    1 + ($4::bigint - 1) * $2::bigint / $3::bigint) AS i
  JOIN seed_draws ON n = CASE i WHEN 1 THEN 1 ELSE ((i - 1) * $3::bigint + $4::bigint - 2) / ($4::bigint - 1) END
  CROSS JOIN LATERAL (SELECT created_ms - 60000 - (180000 * ${draw('i', 'registration')})::bigint AS ms) AS registered
  CROSS JOIN LATERAL (SELECT ${idOf('ms', 'i', 'user')} AS id) AS made`;

/** Mostly one thing, sometimes a trolley, seldom what an office orders. $1 products, $2 MAIN, $3 code of the second */
export const DRAW_LINES = `
  INSERT INTO seed_lines (key, n, product_id, warehouse_id, level, sku, name, quantity, unit_price)
  SELECT n * 16 + line, n, id, CASE WHEN is_second THEN second ELSE $2::uuid END, i * 2 + is_second::int, sku, name,
    CASE WHEN many < 0.8 THEN 1 WHEN many < 0.93 THEN 2 WHEN many < 0.97 THEN 3
      WHEN many < 0.997 THEN 4 + floor(5 * (many - 0.97) / 0.027)::int ELSE 10 + floor(50 * (many - 0.997) / 0.003)::int END,
    price
  FROM (
    SELECT n, 1 + floor($1::int * power(${draw('n * 16 + line', 'product')}, 2))::int AS i, min(line) AS line
    FROM (SELECT n, ${draw('n', 'lines')} AS size FROM seed_draws) AS basket,
      generate_series(1, CASE WHEN size < 0.55 THEN 1 WHEN size < 0.8 THEN 2 WHEN size < 0.9 THEN 3
        WHEN size < 0.95 THEN 4 ELSE 5 + floor(4 * (size - 0.95) / 0.05)::int END) AS line
    GROUP BY 1, 2
  ) AS wanted
  JOIN seed_products USING (i)
  CROSS JOIN (SELECT id AS second FROM warehouses WHERE code = $3) AS warehouse
  CROSS JOIN LATERAL (SELECT ${draw('n * 16 + line', 'quantity')} AS many,
    has_two_stores AND ${draw('n * 16 + line', 'warehouse')} < 0.35 AS is_second) AS drawn
  ORDER BY n, line`;

/**
 * Orders as they are in the end. A pending one is held from now on, or it would be over before anybody sees it.
 * $1 reasons, $2 seconds that a hold may last
 */
export const DRAW_HOLDS = `
  INSERT INTO seed_orders
  SELECT draws.n, ${idOf('created_ms', 'draws.n', 'order')}, ${idOf('created_ms', 'draws.n', 'reservation')}, buyer.id, buyer.actor,
    fate,
    CASE WHEN fate = 'kept' THEN CASE WHEN delivered_ms IS NOT NULL THEN 'delivered' WHEN shipped_ms IS NOT NULL THEN 'shipped'
      WHEN processing_ms IS NOT NULL THEN 'processing' ELSE 'confirmed' END
      WHEN fate = 'pending' THEN 'pending' ELSE 'cancelled' END,
    CASE fate WHEN 'pending' THEN 'active' WHEN 'expired' THEN 'expired' WHEN 'released' THEN 'cancelled' ELSE 'committed' END,
    basket.total, basket.items, created_ms, ended_ms, restocked_ms, processing_ms, shipped_ms, delivered_ms,
    coalesce(delivered_ms, shipped_ms, processing_ms, restocked_ms, ended_ms, created_ms),
    CASE fate WHEN 'pending' THEN floor(1000 * (extract(epoch FROM statement_timestamp())
        + $2::int * (0.5 + 0.5 * ${draw('draws.n', 'hold')})))::bigint
      ELSE created_ms + 600000 END,
    1 + num_nonnulls(ended_ms, restocked_ms, processing_ms, shipped_ms, delivered_ms),
    ${idOf('created_ms', 'draws.n', 'request')}, ${idOf('ended_ms', 'draws.n', 'endRequest')}, staff.actor,
    CASE WHEN ${draw('draws.n', 'canceller')} < 0.3 THEN staff.actor ELSE buyer.actor END,
    CASE fate WHEN 'expired' THEN 'the reservation expired'
      ELSE CASE WHEN ${draw('draws.n', 'canceller')} < 0.8 THEN ${oneOf('$1::text[]', 'draws.n', 'reason')} END END
  FROM seed_draws AS draws
  JOIN seed_users AS buyer ON buyer.i = draws.user_i
  JOIN seed_staff AS staff ON staff.i = 1 + floor(3 * ${draw('draws.n', 'staff')})::int
  JOIN (
    SELECT n, sum(quantity * unit_price) AS total, jsonb_agg(jsonb_build_object('product_id', product_id, 'sku', sku,
      'warehouse_id', warehouse_id, 'quantity', quantity, 'unit_price', unit_price::text) ORDER BY product_id) AS items
    FROM seed_lines GROUP BY n
  ) AS basket ON basket.n = draws.n
  ORDER BY draws.n`;

/** The way of each order through its states. */
export const DRAW_STEPS = `
  INSERT INTO seed_steps
  SELECT n, step, from_status, to_status, ms, taken.actor, taken.reason,
    CASE step WHEN 1 THEN end_request_id ELSE ${idOf('ms', 'n * 8 + step', 'request')} END
  FROM seed_orders AS orders
  CROSS JOIN LATERAL (VALUES
    (1, 'pending', CASE WHEN fate IN ('expired', 'released') THEN 'cancelled' ELSE 'confirmed' END, ended_ms,
      CASE fate WHEN 'expired' THEN 'system:reservation-expiry' WHEN 'released' THEN canceller ELSE orders.actor END,
      CASE WHEN fate IN ('expired', 'released') THEN orders.reason END),
    (2, 'confirmed', 'cancelled', restocked_ms, canceller, orders.reason),
    (3, 'confirmed', 'processing', processing_ms, staff, NULL),
    (4, 'processing', 'shipped', shipped_ms, staff, NULL),
    (5, 'shipped', 'delivered', delivered_ms, staff, NULL)
  ) AS taken (step, from_status, to_status, ms, actor, reason)
  WHERE ms IS NOT NULL ORDER BY ms`;

/** In the night before, what the levels lack for this batch is delivered, and something more. $1 the first day */
export const DRAW_SUPPLIES = `
  INSERT INTO seed_supplies
  SELECT product_id, warehouse_id, level, available, reserved,
    (10 * ceil((demand * 1.2 + 20 + 80 * ${draw('level', 'stockUp')}) / 10))::int,
    $1::bigint + (300000 * ${draw('level', 'stockUp')})::bigint, (SELECT actor FROM seed_staff WHERE i = 1)
  FROM (SELECT product_id, warehouse_id, level, sum(quantity) AS demand FROM seed_lines GROUP BY 1, 2, 3) AS wanted
  JOIN stock_levels USING (product_id, warehouse_id)
  WHERE available < demand + 10`;

export const BATCH_IS_THERE = `
  SELECT FROM orders JOIN (SELECT ${idOf('created_ms', 'n', 'order')} AS id FROM seed_draws ORDER BY n LIMIT 1) AS first USING (id)`;
