import { inOrder } from './allocation';
import type { Action, Id, Item, Level, Line, Order, OrderStatus, Reservation, State } from './state';

/** How an action is asked for; undefined for what nobody asks for over HTTP. */
export interface Request {
  readonly method: 'get' | 'post' | 'patch';
  readonly path: string;
  readonly body?: object;
}

type Requests = { [Do in Action['do']]?: (action: Extract<Action, { do: Do }>) => Request };

const post = (path: string, body?: object): Request => ({ method: 'post', path, body });
const patch = (path: string, body: object): Request => ({ method: 'patch', path, body });

const REQUESTS: Requests = {
  'create product': ({ sku, price, stock, warehouse }) =>
    post('/api/products', {
      ...{ sku, name: 'A thing', price: money(price), initial_stock: stock, warehouse_id: warehouse },
    }),
  'change product': ({ product, price, isActive }) =>
    patch(`/api/products/${product}`, { price: price === undefined ? undefined : money(price), is_active: isActive }),
  'create warehouse': ({ code, priority }) => post('/api/warehouses', { code, name: 'A warehouse', priority }),
  'change warehouse': ({ warehouse, priority, isActive }) =>
    patch(`/api/warehouses/${warehouse}`, { priority, is_active: isActive }),
  adjust: ({ product, warehouse, delta }) =>
    post(`/api/products/${product}/stock-adjustments`, { delta, reason: 'counted', warehouse_id: warehouse }),
  transfer: ({ product, from, to, quantity }) =>
    post('/api/stock-transfers', {
      ...{ product_id: product, from_warehouse_id: from, to_warehouse_id: to, quantity },
    }),
  reserve: ({ lines, ttl }) =>
    post('/api/reservations', {
      ...(lines.length === 1 ? lineOf(lines[0]!) : { items: lines.map(lineOf) }),
      ttl_seconds: ttl,
    }),
  commit: ({ reservation }) => post(`/api/reservations/${reservation}/commit`),
  cancel: ({ reservation }) => post(`/api/reservations/${reservation}/cancel`),
  extend: ({ reservation, ttl }) => post(`/api/reservations/${reservation}/extend`, { ttl_seconds: ttl }),
  'order reservation': ({ reservation }) => post('/api/orders', { reservation_id: reservation }),
  'order items': ({ lines }) => post('/api/orders', { items: lines.map(lineOf) }),
  'change status': ({ order, to }) => patch(`/api/orders/${order}/status`, { status: to }),
  read: ({ thing, id }) => ({ method: 'get', path: `/api/${thing}/${id}` }),
};

export function requestOf(action: Action): Request | undefined {
  // The table has, under each name, what takes the action of that name.
  const make = REQUESTS[action.do] as ((action: Action) => Request) | undefined;
  return make?.(action);
}

function lineOf({ product, quantity, warehouse }: Line): object {
  return { product_id: product, quantity, warehouse_id: warehouse };
}

/** Where an order can go from each status. */
export const TRANSITIONS: Readonly<Record<OrderStatus, readonly OrderStatus[]>> = {
  pending: ['confirmed', 'cancelled'],
  confirmed: ['processing', 'cancelled'],
  processing: ['shipped'],
  shipped: ['delivered'],
  delivered: [],
  cancelled: [],
};

export function productView(state: State, id: Id): Record<string, unknown> {
  const { sku, price, isActive, version } = state.products[id]!;
  const shown = shownLevels(state)[id]!;
  const stocked = inOrder(state.warehouses).filter((warehouse) => shown[warehouse]);
  const total = Object.values(shown).reduce(
    (sum, level) => ({ available: sum.available + level.available, reserved: sum.reserved + level.reserved }),
    { available: 0, reserved: 0 },
  );
  return {
    ...{ id, sku, price: money(price), is_active: isActive, version, ...stockView(total) },
    stock_levels: stocked.map((warehouse) => ({ warehouse_id: warehouse, ...stockView(shown[warehouse]!) })),
  };
}

/** Levels as they are shown: a hold that is over has nothing any more, whether it was tidied up or not. */
export function shownLevels(state: State): State['levels'] {
  const levels = structuredClone(state.levels);
  for (const { product, warehouse, quantity } of overdueHolds(state).flatMap((id) => state.reservations[id]!.items)) {
    const level = levels[product]![warehouse]!;
    level.available += quantity;
    level.reserved -= quantity;
  }
  return levels;
}

export function stockView({ available, reserved }: Level): Record<string, number> {
  return { available_stock: available, reserved_stock: reserved, total_stock: available + reserved };
}

/** Those that are over and were not tidied up yet, oldest first. */
export function overdueHolds({ reservations }: State): Id[] {
  return Object.keys(reservations).filter((id) => isOverdue(reservations[id]!));
}

export function isOverdue({ status, isOver }: Reservation): boolean {
  return status === 'active' && isOver;
}

export function reservationView(state: State, id: Id): Record<string, unknown> {
  const reservation = state.reservations[id]!;
  const { user, items, order, expiresAt } = reservation;
  return {
    ...{ id, user_id: user, status: isOverdue(reservation) ? 'expired' : reservation.status, order_id: order },
    ...{ items: items.map(itemView), total_amount: money(totalOf(items)), currency: 'EUR' },
    expires_at: new Date(expiresAt).toISOString(),
  };
}

/** As an order stands: a pending one whose hold is over is cancelled, whether it was tidied up or not. */
export function standing({ orders, reservations }: State, id: Id): Order {
  const order = orders[id]!;
  const isOver = order.status === 'pending' && isOverdue(reservations[order.reservation]!);
  return isOver ? { ...order, status: 'cancelled', version: order.version + 1 } : order;
}

export function orderView(state: State, id: Id): Record<string, unknown> {
  return viewOf(state, id, standing(state, id));
}

/** As a list shows it: as it was last written. */
export function listedOrderView(state: State, id: Id): Record<string, unknown> {
  return viewOf(state, id, state.orders[id]!);
}

function viewOf({ reservations }: State, id: Id, order: Order): Record<string, unknown> {
  const { user, items, reservation, status, version } = order;
  return {
    ...{ id, user_id: user, status, version, reservation_id: reservation, allowed_transitions: TRANSITIONS[status] },
    items: items.map((item) => ({ ...itemView(item), line_total: money(totalOf([item])) })),
    ...{ total_amount: money(totalOf(items)), currency: 'EUR' },
    expires_at: status === 'pending' ? new Date(reservations[reservation]!.expiresAt).toISOString() : null,
  };
}

function itemView({ product, warehouse, quantity, price }: Item): object {
  return { product_id: product, warehouse_id: warehouse, quantity, unit_price: money(price) };
}

function totalOf(items: readonly Item[]): number {
  return items.reduce((sum, { quantity, price }) => sum + quantity * price, 0);
}

function money(cents: number): string {
  return `${Math.trunc(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
}
