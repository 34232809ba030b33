import { idOf, isoOf, momentOf, oneOf } from './drawing.query';

/** $1 last user that is there, $2 first names, $3 last names, $4 email domain, $5 password hash */
export const WRITE_USERS = `
  WITH written AS (
    INSERT INTO users (id, email, password_hash, role, created_at)
    SELECT id, lower(${oneOf('$2::text[]', 'i', 'firstName')} || '.' || ${oneOf('$3::text[]', 'i', 'lastName')}) || '.' || i || '@' || $4::text,
      $5, 'user', ${momentOf(msOf('id'))}
    FROM seed_users WHERE i > $1::int ORDER BY i
    RETURNING id, email, created_at
  )
  INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id, created_at)
  SELECT ${idOf(msOf('id'), '2 * i', 'registration')}, actor, 'user.registered', 'user', id,
    jsonb_build_object('email', email, 'role', 'user'), ${idOf(msOf('id'), '2 * i + 1', 'registration')}, created_at
  FROM written JOIN seed_users USING (id)`;

const WRITE_RESERVATIONS = `
  INSERT INTO reservations (id, user_id, status, expires_at, order_id, total_amount, currency, created_at, updated_at)
  SELECT reservation_id, user_id, hold, ${momentOf('expires_ms')}, id, total, 'EUR', ${momentOf('created_ms')},
    ${momentOf('coalesce(ended_ms, created_ms)')}
  FROM seed_orders ORDER BY n`;

const WRITE_RESERVATION_ITEMS = `
  INSERT INTO reservation_items (reservation_id, user_id, product_id, warehouse_id, quantity, unit_price)
  SELECT reservation_id, user_id, product_id, warehouse_id, quantity, unit_price
  FROM seed_lines JOIN seed_orders USING (n) ORDER BY key`;

const WRITE_ORDERS = `
  INSERT INTO orders (id, user_id, status, total_amount, currency, reservation_id, version, created_at, updated_at)
  SELECT id, user_id, status, total, 'EUR', reservation_id, version, ${momentOf('created_ms')}, ${momentOf('changed_ms')}
  FROM seed_orders ORDER BY n`;

const WRITE_ORDER_ITEMS = `
  INSERT INTO order_items (order_id, product_id, warehouse_id, sku, name, quantity, unit_price)
  SELECT id, product_id, warehouse_id, sku, name, quantity, unit_price
  FROM seed_lines JOIN seed_orders USING (n) ORDER BY key`;

const WRITE_STATUS_CHANGES = `
  INSERT INTO order_status_changes (id, order_id, from_status, to_status, actor, reason, request_id, created_at)
  SELECT ${idOf('ms', 'n * 8 + step', 'change')}, id, from_status, to_status, steps.actor, steps.reason, steps.request_id,
    ${momentOf('ms')}
  FROM seed_steps AS steps JOIN seed_orders USING (n) ORDER BY ms`;

/**
 * The ledger of this batch, which comes after all that is in it, and the levels that it leads to. The levels are
 * locked, so what the sums begin with is what they really are.
 */
const WRITE_MOVEMENTS = `
  WITH moves AS (
    SELECT ${idOf('ms', 'key * 4 + part', 'movement')} AS id, product_id, warehouse_id, kind, quantity * available AS available,
      quantity * reserved AS reserved, reservation_id, orders.id AS order_id, move.actor, NULL AS reason, move.request_id, ms
    FROM seed_lines AS lines JOIN seed_orders AS orders USING (n)
    LEFT JOIN (SELECT n, request_id FROM seed_steps WHERE step = 2) AS restock USING (n)
    CROSS JOIN LATERAL (VALUES
      (1, 'reserve', -1, 1, created_ms, orders.actor, orders.request_id),
      (2, CASE fate WHEN 'expired' THEN 'expire' WHEN 'released' THEN 'release' ELSE 'commit' END,
        CASE WHEN fate IN ('expired', 'released') THEN 1 ELSE 0 END, -1, ended_ms,
        CASE fate WHEN 'expired' THEN 'system:reservation-expiry' WHEN 'released' THEN canceller ELSE orders.actor END,
        end_request_id),
      (3, 'restock', 1, 0, restocked_ms, canceller, restock.request_id)
    ) AS move (part, kind, available, reserved, ms, actor, request_id)
    WHERE ms IS NOT NULL
    UNION ALL
    SELECT ${idOf('ms', 'level', 'stockUp')}, product_id, warehouse_id, 'adjustment', quantity, 0, NULL, NULL, actor, 'delivery',
      ${requestOf('level')}, ms
    FROM seed_supplies
  ), written AS (
    INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after,
      reserved_after, reservation_id, order_id, actor, reason, request_id, created_at)
    SELECT id, product_id, warehouse_id, kind, moves.available, moves.reserved,
      level.available + sum(moves.available) OVER past, level.reserved + sum(moves.reserved) OVER past,
      reservation_id, order_id, actor, reason, request_id, ${momentOf('ms')}
    FROM moves JOIN stock_levels AS level USING (product_id, warehouse_id)
    WINDOW past AS (PARTITION BY product_id, warehouse_id ORDER BY ms, id ROWS UNBOUNDED PRECEDING)
    RETURNING product_id, warehouse_id, available_delta, reserved_delta
  )
  UPDATE stock_levels AS level SET available = level.available + change.available,
    reserved = level.reserved + change.reserved, total = level.total + change.available + change.reserved
  FROM (SELECT product_id, warehouse_id, sum(available_delta) AS available, sum(reserved_delta) AS reserved
    FROM written GROUP BY 1, 2) AS change
  WHERE level.product_id = change.product_id AND level.warehouse_id = change.warehouse_id`;

const AUDIT_COLUMNS = 'id, actor, action, object_type, object_id, old_value, new_value, request_id, created_at';

/** What the service writes down when an order is made: the reservation, as it is answered, before its order. */
const WRITE_CREATIONS = `
  INSERT INTO audit_logs (${AUDIT_COLUMNS})
  SELECT ${idOf('ms', 'n * 16 + slot', 'audit')}, actor, action, split_part(action, '.', 1), object_id, NULL, new_value, request_id,
    ${momentOf('ms')}
  FROM seed_orders
  CROSS JOIN LATERAL (VALUES
    (0, 'reservation.created', reservation_id, created_ms + 1, jsonb_build_object('id', reservation_id, 'user_id', user_id,
      'status', 'active', 'items', items, 'total_amount', total::text, 'currency', 'EUR', 'order_id', id,
      'expires_at', ${isoOf('expires_ms')}, 'created_at', ${isoOf('created_ms')}, 'updated_at', ${isoOf('created_ms')})),
    (1, 'order.created', id, created_ms + 2, jsonb_build_object('status', 'pending', 'user_id', user_id,
      'reservation_id', reservation_id, 'total_amount', total::text, 'currency', 'EUR'))
  ) AS entry (slot, action, object_id, ms, new_value)
  ORDER BY n, slot`;

/** And when it goes on: first the hold ends, then the order changes. */
const WRITE_CHANGES = `
  INSERT INTO audit_logs (${AUDIT_COLUMNS})
  SELECT ${idOf('at', 'n * 16 + slot', 'audit')}, steps.actor, action, split_part(action, '.', 1), object_id, old_value, new_value,
    steps.request_id, ${momentOf('at')}
  FROM seed_steps AS steps JOIN seed_orders AS orders USING (n)
  CROSS JOIN LATERAL (
    SELECT 2 AS slot, 'reservation.' || hold AS action, reservation_id AS object_id, ms + 1 AS at,
      jsonb_build_object('status', 'active', 'expires_at', ${isoOf('expires_ms')}, 'order_id', orders.id) AS old_value,
      jsonb_build_object('status', hold, 'order_id', orders.id) AS new_value
    WHERE step = 1
    UNION ALL
    SELECT 2 + step, 'order.status_changed', orders.id, ms + 2, jsonb_build_object('status', from_status),
      jsonb_build_object('status', to_status, 'reason', steps.reason)
  ) AS entry
  ORDER BY at`;

const WRITE_SUPPLY_AUDIT = `
  INSERT INTO audit_logs (${AUDIT_COLUMNS})
  SELECT ${idOf('ms + 1', 'level', 'stockUpAudit')}, actor, 'stock.adjusted', 'stock', product_id,
    jsonb_build_object('warehouse_id', warehouse_id, 'available_stock', available, 'reserved_stock', reserved),
    jsonb_build_object('warehouse_id', warehouse_id, 'available_stock', available + quantity, 'reserved_stock', reserved,
      'delta', quantity, 'reason', 'delivery'),
    ${requestOf('level')}, ${momentOf('ms + 1')}
  FROM seed_supplies`;

/** Everything that is written of a batch, but for its users. */
export const WRITE_BATCH = [
  WRITE_RESERVATIONS,
  WRITE_RESERVATION_ITEMS,
  WRITE_ORDERS,
  WRITE_ORDER_ITEMS,
  WRITE_STATUS_CHANGES,
  WRITE_MOVEMENTS,
  WRITE_CREATIONS,
  WRITE_CHANGES,
  WRITE_SUPPLY_AUDIT,
];

function requestOf(level: string): string {
  return idOf('ms', `2000000000 + ${level}`, 'catalogue');
}

/** A UUID version 7 knows its time: that it is read from there spares a column. */
function msOf(id: string): string {
  return `('x0000' || substr(replace(${id}::text, '-', ''), 1, 12))::bit(64)::bigint`;
}
