import type { Api, Reply } from './api';
import { type TestApp, unique } from './test-app';

export interface Product {
  id: string;
  sku: string;
  price: string;
}

/** The data of an answer that must have been a success: a factory that fails says why. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the API answered
export function dataOf(reply: Reply): any {
  if (reply.status >= 300) {
    throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`);
  }
  return reply.body.data;
}

/** A product with 10 pieces in MAIN at 19.90. */
export async function aProduct({ admin }: TestApp, overrides: object = {}): Promise<Product> {
  return dataOf(
    await admin.post('/api/products', {
      sku: unique('SKU'),
      name: 'Blue mug',
      price: '19.90',
      initial_stock: 10,
      ...overrides,
    }),
  );
}

/** An active warehouse of priority 100. */
export async function aWarehouse({ admin }: TestApp, overrides: object = {}): Promise<{ id: string; code: string }> {
  return dataOf(await admin.post('/api/warehouses', { code: unique('WH'), name: 'A warehouse', ...overrides }));
}

/** Puts pieces of a product into a warehouse; MAIN if none is named. */
export async function stockUp(
  { admin }: TestApp,
  productId: string,
  delta: number,
  warehouseId?: string,
): Promise<void> {
  dataOf(
    await admin.post(`/api/products/${productId}/stock-adjustments`, {
      delta,
      reason: 'delivery',
      warehouse_id: warehouseId,
    }),
  );
}

/** A product of which six pieces are few, after so many of its ten have come or gone, and been looked at each time. */
export async function aWatchedProduct(
  test: TestApp,
  ...deltas: number[]
): Promise<{ id: string; available: number; low_stock_threshold: number }> {
  const low_stock_threshold = 6;
  const { id } = await aProduct(test, { low_stock_threshold });
  for (const delta of deltas) {
    await stockUp(test, id, delta);
    await test.judgeStock();
  }
  return { id, low_stock_threshold, available: (await stockOf(test, id)).available };
}

export interface Reservation {
  id: string;
  user_id: string;
  status: string;
  expires_at: string;
  items: { product_id: string; warehouse_id: string; quantity: number }[];
}

/** A reservation of one piece of a product. */
export async function aReservation(user: Api, productId: string, overrides: object = {}): Promise<Reservation> {
  return dataOf(await user.post('/api/reservations', { product_id: productId, quantity: 1, ...overrides }));
}

export interface Order {
  id: string;
  status: string;
  version: number;
  reservation_id: string;
}

/** A pending order of one piece of a product. */
export async function anOrder(user: Api, productId: string, quantity = 1): Promise<Order> {
  return dataOf(await user.post('/api/orders', { items: [{ product_id: productId, quantity }] }));
}

/** Brings an order through these statuses, one after the other, as an administrator. */
export async function bring({ admin }: TestApp, orderId: string, ...statuses: string[]): Promise<void> {
  for (const status of statuses) {
    dataOf(await admin.patch(`/api/orders/${orderId}/status`, { status }));
  }
}

/** Lets the time of a reservation be over, without waiting for it. */
export async function letTimePass({ database }: TestApp, reservationId: string): Promise<void> {
  await database.query(`UPDATE reservations SET expires_at = clock_timestamp() - interval '1 second' WHERE id = $1`, [
    reservationId,
  ]);
}

/** Makes so many overdue holds of one piece of each product in MAIN, with the levels and the ledger that belong to them. */
export async function overdueHolds({ database }: TestApp, productIds: string[], count: number): Promise<void> {
  await database.query(OVERDUE_HOLDS, [productIds, count]);
}

const OVERDUE_HOLDS = `
  WITH held AS (
    INSERT INTO reservations (id, user_id, status, expires_at, total_amount, currency)
    SELECT gen_random_uuid(), gen_random_uuid(), 'active', clock_timestamp() - number * interval '1 millisecond', 1, 'EUR'
    FROM generate_series(1, $2::int) AS number RETURNING id, user_id
  ), items AS (
    INSERT INTO reservation_items (reservation_id, user_id, product_id, warehouse_id, quantity, unit_price)
    SELECT held.id, user_id, product_id, '00000000-0000-7000-8000-000000000001', 1, 1 FROM held, unnest($1::uuid[]) AS product_id RETURNING reservation_id, product_id
  ), moved AS (
    INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after, reserved_after, reservation_id, actor, request_id)
    SELECT gen_random_uuid(), product_id, '00000000-0000-7000-8000-000000000001', 'reserve', -1, 1, 0, 0, reservation_id, 'system:test', gen_random_uuid() FROM items
  )
  UPDATE stock_levels SET available = available - $2, reserved = reserved + $2 WHERE product_id = ANY($1)`;

/** The stock of a product over all warehouses. */
export async function stockOf(
  { admin }: TestApp,
  productId: string,
): Promise<{ available: number; reserved: number; total: number }> {
  const product = dataOf(await admin.get(`/api/products/${productId}`));
  return { available: product.available_stock, reserved: product.reserved_stock, total: product.total_stock };
}

/** Fails unless stock, ledger and reservations agree everywhere. To be called after every test that moves stock at once. */
export async function expectReconciled({ admin, database }: TestApp): Promise<void> {
  expect(dataOf(await admin.get('/api/admin/reconciliation'))).toMatchObject({ ok: true, differences: [] });
  expect(await database.query(OF_SOMEBODY_ELSE)).toEqual([]);
}

/** What is reserved must be known as its user's, where the list by user and product looks. */
const OF_SOMEBODY_ELSE = `
  SELECT item.* FROM reservation_items AS item JOIN reservations ON reservations.id = item.reservation_id
  WHERE item.user_id <> reservations.user_id`;
