import type { Snapshot } from '../../src/inventory/commands/snapshot';
import type { ReservationView } from '../../src/inventory/reservations/reservation.entity';
import { AvailableStock } from '../../src/inventory/stock/available-stock';
import type { StockLevel } from '../../src/inventory/stock/stock.entity';
import type { OrderView } from '../../src/orders/order.entity';
import { LoadedOrders } from '../../src/orders/loaded-orders';
import type { UserActor } from '../../src/platform/security/actor';

export const NOW = new Date('2026-01-01T12:00:00Z');
export const ADA: UserActor = { kind: 'user', id: 'ada', role: 'user' };
export const BOB: UserActor = { kind: 'user', id: 'bob', role: 'user' };
export const ADMIN: UserActor = { kind: 'user', id: 'root', role: 'admin' };

export const seconds = (count: number): Date => new Date(NOW.getTime() + count * 1000);

/** Of a mug in the warehouse MAIN, or in another. */
export const aLevel = (available: number, reserved = 0, warehouseId = 'main'): StockLevel => ({
  productId: 'mug',
  warehouseId,
  available,
  reserved,
  total: available + reserved,
});

/** Ada's, of two mugs, made a minute ago for ten minutes. */
export const aHold = (changes: Partial<ReservationView> = {}): ReservationView => ({
  id: 'hold',
  userId: 'ada',
  status: 'active',
  items: [{ productId: 'mug', warehouseId: 'main', sku: 'MUG', name: 'Mug', quantity: 2, unitPrice: '5.00' }],
  totalAmount: '10.00',
  currency: 'EUR',
  orderId: null,
  expiresAt: seconds(540),
  createdAt: seconds(-60),
  updatedAt: seconds(-60),
  ...changes,
});

/** Ada's pending order of that hold. */
export const anOrderOf = (hold: ReservationView, changes: Partial<OrderView> = {}): OrderView => ({
  id: hold.orderId!,
  userId: hold.userId,
  status: 'pending',
  totalAmount: hold.totalAmount,
  currency: hold.currency,
  reservationId: hold.id,
  version: 1,
  expiresAt: hold.expiresAt,
  createdAt: seconds(-30),
  updatedAt: seconds(-30),
  items: hold.items,
  ...changes,
});

interface Rows {
  readonly levels?: StockLevel[];
  readonly holds?: ReservationView[];
  readonly orders?: OrderView[];
  readonly overdue?: ReadonlyMap<string, number>;
}

/** What decisions are made on. Mugs cost 5.00 EUR; warehouse MAIN comes before FAR. */
export function aSnapshot({ levels = [], holds = [], orders = [], overdue }: Rows): Snapshot<LoadedOrders> {
  const mug = { id: 'mug', sku: 'MUG', name: 'Mug', price: '5.00', currency: 'EUR', isActive: true };
  const catalogue = {
    products: new Map([['mug', mug]]),
    warehouses: new Map(['main', 'far'].map((id) => [id, { id, isActive: true }])),
  };
  return {
    now: NOW,
    stock: new AvailableStock(catalogue, levels, overdue),
    reservations: new Map(holds.map((hold) => [hold.id, hold])),
    orders: new LoadedOrders(orders),
    productIds: ['mug'],
    ignoresOverdue: false,
  };
}

/** What was thrown, to look at it. */
export function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('Nothing was thrown');
}
