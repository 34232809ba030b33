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
