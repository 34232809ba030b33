import { draw, idOf, momentOf, oneOf } from './drawing.query';

/** So long before the first order the shop is founded. */
export const FOUNDED_BEFORE_MS = 90 * 86_400_000;

const FOUNDED = `($1::bigint - ${FOUNDED_BEFORE_MS}::bigint)`;
const EXTENDED = '($1::bigint - 89 * 86400000::bigint)';

/** The staff who ship: administrators as whom nobody can log in. $1 start, $2 email domain, $3 password hash */
export const STAFF = `
  WITH staff AS (
    INSERT INTO seed_staff
    SELECT i, id, 'user:' || id FROM generate_series(1, 3) AS i, ${idOf(FOUNDED, '4000000000 + i', 'user')} AS id
    RETURNING *
  ), written AS (
    INSERT INTO users (id, email, password_hash, role, created_at)
    SELECT id, 'staff.' || i || '@' || $2::text, $3, 'admin', ${momentOf(FOUNDED)} FROM staff
    ON CONFLICT (id) DO NOTHING RETURNING *
  )
  INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id, created_at)
  SELECT ${idOf(FOUNDED, 'i', 'catalogue')}, 'system:bootstrap', 'user.registered', 'user', id,
    jsonb_build_object('email', email, 'role', role), ${idOf(FOUNDED, '0', 'catalogue')}, created_at
  FROM written JOIN staff USING (id)`;

/** The second warehouse, unless one of that code is there. $1 start, $2 its code */
export const WAREHOUSE = `
  WITH written AS (
    INSERT INTO warehouses (id, code, name, priority, created_at, updated_at)
    SELECT ${idOf(EXTENDED, '1', 'warehouse')}, $2, 'Second warehouse', 200, moment, moment
    FROM ${momentOf(EXTENDED)} AS moment
    ON CONFLICT (code) DO NOTHING RETURNING *
  )
  INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id, created_at)
  SELECT ${idOf(EXTENDED, '4', 'catalogue')}, (SELECT actor FROM seed_staff WHERE i = 1),
    'warehouse.created', 'warehouse', id,
    jsonb_build_object('id', id, 'code', code, 'name', name, 'priority', priority, 'is_active', is_active,
      'created_at', to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
      'updated_at', to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
    ${idOf(EXTENDED, '5', 'catalogue')}, created_at
  FROM written`;

/**
 * What is on sale. $1 start, $2 how many, $3 tag, $4 adjectives; $5 goods, $6 what each of those can be made of,
 * $7 what it costs. Few dear and many cheap things make few large and many small totals.
 */
export const PRODUCTS = `
  INSERT INTO seed_products
  SELECT i, ${idOf('created_ms', 'i', 'product')},
    upper(replace(good, ' ', '-') || '-' || material) || '-' || i || '-' || upper($3::text),
    adjective || ' ' || lower(material) || ' ' || lower(good),
    greatest(1, round(cents * (0.7 + 0.8 * ${draw('i', 'price')}) / 100)) - 0.1,
    created_ms, 20 + (180 * ${draw('i', 'initialStock')})::int, ${draw('i', 'stores')} < 0.3
  FROM generate_series(1, $2::int) AS i
  CROSS JOIN LATERAL (SELECT
    $1::bigint - ((1 + 60 * ${draw('i', 'launch')}) * 86400000)::bigint AS created_ms,
    1 + floor(power(${draw('i', 'good')}, 1.6) * cardinality($5::text[]))::int AS g,
    ${oneOf('$4::text[]', 'i', 'adjective')} AS adjective
  ) AS drawn
  CROSS JOIN LATERAL (SELECT ($5::text[])[g] AS good, string_to_array(($6::text[])[g], ' ') AS materials,
    ($7::int[])[g] AS cents) AS kind
  CROSS JOIN LATERAL (SELECT ${oneOf('materials', 'i', 'material')} AS material) AS chosen`;

/** Not for sale before their past is complete, or a sale of today would stand before it in the ledger. */
export const WRITE_PRODUCTS = `
  INSERT INTO products (id, sku, name, description, price, currency, is_active, low_stock_threshold, created_at, updated_at)
  SELECT id, sku, name, name || ', made to last.', price, 'EUR', false, 10, ${momentOf('created_ms')}, ${momentOf('created_ms')}
  FROM seed_products ORDER BY created_ms`;

/** $1 MAIN, $2 the code of the second warehouse */
export const WRITE_LEVELS = `
  INSERT INTO stock_levels (product_id, warehouse_id, available, reserved, total)
  SELECT id, $1::uuid, initial_stock, 0, initial_stock FROM seed_products
  UNION ALL
  SELECT product.id, warehouse.id, 0, 0, 0
  FROM seed_products AS product JOIN warehouses AS warehouse ON warehouse.code = $2 WHERE product.has_two_stores`;

/** $1 MAIN */
export const WRITE_INITIAL_STOCK = `
  INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after,
    reserved_after, actor, request_id, created_at)
  SELECT ${idOf('created_ms', '4000000000 + i', 'movement')}, id, $1::uuid, 'initial', initial_stock, 0, initial_stock, 0,
    (SELECT actor FROM seed_staff WHERE i = 1), ${idOf('created_ms', '100 + i', 'catalogue')}, ${momentOf('created_ms')}
  FROM seed_products`;

/** $1 MAIN */
export const WRITE_PRODUCT_AUDIT = `
  INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id, created_at)
  SELECT ${idOf('created_ms', '1000000 + i', 'catalogue')}, (SELECT actor FROM seed_staff WHERE i = 1),
    'product.created', 'product', id,
    jsonb_build_object('sku', sku, 'name', name, 'description', name || ', made to last.', 'price', price::text,
      'currency', 'EUR', 'is_active', true, 'low_stock_threshold', 10, 'initial_stock', initial_stock,
      'warehouse_id', $1::uuid),
    ${idOf('created_ms', '100 + i', 'catalogue')}, ${momentOf('created_ms')}
  FROM seed_products`;

export const IS_THERE = `SELECT FROM products JOIN seed_products USING (id) LIMIT 1`;

export const OPEN_FOR_SALE = `UPDATE products SET is_active = true WHERE id IN (SELECT id FROM seed_products)`;
