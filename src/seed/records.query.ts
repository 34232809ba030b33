import sql from 'sql-template-tag';
import { MAIN_WAREHOUSE_ID } from '../inventory/warehouses/warehouse.entity';

/** Writes a drawn batch, except its customers. */
export const WRITE_BATCH = [
  sql`
    INSERT INTO reservations (id, user_id, status, expires_at, order_id, total_amount, currency, created_at, updated_at)
    SELECT DISTINCT ON (n) reservation_id, user_id, hold, pg_temp.moment(expires_ms), id, total, 'EUR',
      pg_temp.moment(made_ms), pg_temp.moment(ms)
    FROM seed_orders JOIN seed_steps USING (n) WHERE hold IS NOT NULL ORDER BY n, step DESC`,

  sql`
    INSERT INTO reservation_items (reservation_id, user_id, product_id, warehouse_id, quantity, unit_price)
    SELECT reservation_id, user_id, product_id, ${MAIN_WAREHOUSE_ID}::uuid, quantity, price
    FROM seed_lines JOIN seed_orders USING (n) ORDER BY key`,

  sql`
    INSERT INTO orders (id, user_id, status, total_amount, currency, reservation_id, version, created_at, updated_at)
    SELECT DISTINCT ON (n) id, user_id, to_status, total, 'EUR', reservation_id, 1 + step, pg_temp.moment(made_ms),
      pg_temp.moment(ms)
    FROM seed_orders JOIN seed_steps USING (n) ORDER BY n, step DESC`,

  sql`
    INSERT INTO order_items (order_id, product_id, warehouse_id, sku, name, quantity, unit_price)
    SELECT id, product_id, ${MAIN_WAREHOUSE_ID}::uuid, sku, name, quantity, price
    FROM seed_lines JOIN seed_orders USING (n) ORDER BY key`,

  sql`
    INSERT INTO order_status_changes (id, order_id, from_status, to_status, actor, reason, request_id, created_at)
    SELECT pg_temp.id(ms, n * 8 + step, 'status change'), id, from_status, to_status, actor, reason, request_id,
      pg_temp.moment(ms)
    FROM seed_steps JOIN seed_orders USING (n) WHERE step > 0 ORDER BY ms`,

  /**
   * The ledger rows of this batch, which follow all existing ones, and the resulting levels. The levels are locked, so
   * the sums start from the current values.
   */
  sql`
    WITH moves AS (
      SELECT pg_temp.id(ms, key * 4 + step, 'movement') AS id, product_id, movement AS kind, quantity * available AS available,
        quantity * reserved AS reserved, reservation_id, orders.id AS order_id, actor, NULL AS reason, request_id, ms
      FROM seed_lines JOIN seed_orders AS orders USING (n) JOIN seed_steps USING (n) WHERE movement IS NOT NULL
      UNION ALL
      SELECT pg_temp.id(ms, i, 'delivery'), product_id, 'adjustment', quantity, 0, NULL, NULL, pg_temp.staff(), 'delivery',
        request_id, ms
      FROM seed_deliveries
    ), written AS (
      INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after,
        reserved_after, reservation_id, order_id, actor, reason, request_id, created_at)
      SELECT id, product_id, warehouse_id, kind, moves.available, moves.reserved,
        level.available + sum(moves.available) OVER past, level.reserved + sum(moves.reserved) OVER past,
        reservation_id, order_id, actor, reason, request_id, pg_temp.moment(ms)
      FROM moves JOIN stock_levels AS level USING (product_id) WHERE warehouse_id = ${MAIN_WAREHOUSE_ID}
      WINDOW past AS (PARTITION BY product_id ORDER BY ms, id ROWS UNBOUNDED PRECEDING)
      RETURNING product_id, available_delta, reserved_delta
    )
    UPDATE stock_levels AS level SET available = level.available + change.available,
      reserved = level.reserved + change.reserved, total = level.total + change.available + change.reserved
    FROM (SELECT product_id, sum(available_delta) AS available, sum(reserved_delta) AS reserved
      FROM written GROUP BY 1) AS change
    WHERE level.product_id = change.product_id AND level.warehouse_id = ${MAIN_WAREHOUSE_ID}`,

  /**
   * The audit rows that the service would write at each step: for the reservation, and a millisecond later for its
   * order.
   */
  sql`
    INSERT INTO audit_logs (id, actor, action, object_type, object_id, old_value, new_value, request_id, created_at, xid)
    SELECT pg_temp.id(ms + later, n * 8 + step, action), actor, action, split_part(action, '.', 1), object_id, old_value,
      new_value, request_id, pg_temp.moment(ms + later), NULL
    FROM seed_steps JOIN seed_orders AS orders USING (n)
    CROSS JOIN LATERAL jsonb_build_object('user_id', user_id, 'total_amount', total::text, 'currency', 'EUR',
      'product_ids', jsonb_path_query_array(items, '$[*].product_id')) AS purchase
    CROSS JOIN LATERAL jsonb_build_object('status', to_status, 'version', step + 1, 'reservation_id', reservation_id) AS state
    CROSS JOIN LATERAL (
      SELECT 1 AS later, 'reservation.created' AS action, reservation_id AS object_id, NULL::jsonb AS old_value,
        jsonb_build_object('id', reservation_id, 'user_id', user_id, 'status', hold, 'items', items,
          'total_amount', total::text, 'currency', 'EUR', 'order_id', orders.id, 'expires_at', pg_temp.iso(expires_ms),
          'created_at', pg_temp.iso(ms), 'updated_at', pg_temp.iso(ms)) AS new_value
      WHERE step = 0
      UNION ALL
      SELECT 2, 'order.created', orders.id, NULL, state || purchase
      WHERE step = 0
      UNION ALL
      SELECT 1, 'reservation.' || hold, reservation_id,
        jsonb_build_object('status', 'active', 'expires_at', pg_temp.iso(expires_ms), 'order_id', orders.id),
        jsonb_build_object('status', hold, 'order_id', orders.id) || purchase
      WHERE step = 1
      UNION ALL
      SELECT 2, 'order.status_changed', orders.id, jsonb_build_object('status', from_status),
        state || purchase || jsonb_build_object('reason', reason)
      WHERE step > 0
    ) AS entry
    ORDER BY ms`,

  sql`
    INSERT INTO audit_logs (id, actor, action, object_type, object_id, old_value, new_value, request_id, created_at, xid)
    SELECT pg_temp.id(ms + 1, i, 'delivery audit'), pg_temp.staff(), 'stock.adjusted', 'stock', product_id,
      jsonb_build_object('warehouse_id', ${MAIN_WAREHOUSE_ID}::text, 'available_stock', available, 'reserved_stock', reserved),
      jsonb_build_object('warehouse_id', ${MAIN_WAREHOUSE_ID}::text, 'available_stock', available + quantity,
        'reserved_stock', reserved, 'delta', quantity, 'reason', 'delivery'),
      request_id, pg_temp.moment(ms + 1), NULL
    FROM seed_deliveries`,
];
