import type { Client } from 'pg';

/** A list other than that of orders, with easy filters and with filters that match few of the searched rows. */
export interface OtherList {
  readonly name: string;
  readonly path: string;
  /** Requested by the customer who has a twentieth of all orders, not by an administrator. */
  readonly isOwn: boolean;
}

interface Known {
  product: string;
  user: string;
  order: string;
  request: string;
  sku: string;
}

/** The busiest product and the busiest user with audit rows; an order, a request and a product with few rows. */
const KNOWN = `
  SELECT (SELECT product_id FROM order_items GROUP BY product_id ORDER BY count(*) DESC LIMIT 1) AS product,
    (SELECT user_id FROM reservations JOIN users ON users.id = user_id GROUP BY user_id ORDER BY count(*) DESC LIMIT 1) AS user,
    (SELECT id FROM orders ORDER BY created_at LIMIT 1) AS order,
    (SELECT request_id FROM order_status_changes ORDER BY order_id LIMIT 1) AS request,
    (SELECT sku FROM products ORDER BY id LIMIT 1) AS sku`;

export async function otherLists(client: Client): Promise<OtherList[]> {
  const { rows } = await client.query<Known>(KNOWN);
  const { product, user, order, request, sku } = rows[0]!;
  const audit = [
    ...['', 'action=reservation.expired', 'action=product.updated', 'object_type=warehouse', 'object_type=order'],
    ...['actor=system:reservation-expiry', 'actor=system:reservation-expiry&action=order.created'],
    ...[`actor=user:${user}`, `actor=user:${user}&object_type=product`, 'start_date=2026-01-01&end_date=2026-01-02'],
    ...[`object_id=${order}`, `request_id=${request}`],
  ];
  const statuses = ['active', 'committed', 'cancelled', 'expired'];
  const ofProduct = [`product_id=${product}`, ...statuses.map((status) => `product_id=${product}&status=${status}`)];
  const reservations = ['', ...statuses.map((status) => `status=${status}`), ...ofProduct];
  const products = [
    ...['', `q=${sku}`, 'q=mug', 'q=sofa', 'q=no+such', 'q=zz', 'q=--', 'in_stock=true', 'in_stock=false'],
    ...['q=blue&in_stock=false', 'q=e&in_stock=false', 'q=zz&in_stock=true', `q=${sku}&in_stock=true`],
    ...['q=vintage', 'q=vintage&in_stock=true', 'q=retro', 'q=retro&in_stock=true'],
  ];
  const list = (name: string, path: string, queries: string[], isOwn = false): OtherList[] =>
    queries.map((query) => ({
      name: `${name} ${query.replace(/[0-9a-f-]{36}/g, '…')}`.trim(),
      path: query === '' ? path : `${path}?${query}`,
      isOwn,
    }));
  return [
    ...list('audit-logs', '/api/audit-logs', audit),
    ...list('reservations', '/api/reservations', reservations),
    ...list('own reservations', '/api/reservations', ['', ...ofProduct], true),
    ...list('products', '/api/products', products),
    ...list('stock-movements', `/api/products/${product}/stock-movements`, ['']),
  ];
}
