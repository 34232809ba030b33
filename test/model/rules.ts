import { activeWarehouses, allocate } from './allocation';
import type { Action, ActionOf, Answer, Id, Item, Line, OrderStatus, Reservation } from './state';
import { refuse, type Turn } from './turn';
import {
  isOverdue,
  orderView,
  productView,
  reservationView,
  shownLevels,
  standing,
  stockView,
  TRANSITIONS,
} from './wire';

export const MAX_TTL = 3600;
const DEFAULT_TTL = 600;

type Rules = { [Do in Exclude<Action['do'], 'sweep'>]: (turn: Turn, action: ActionOf<Do>) => Answer };

/** What each action does, in the words of the contract: first all that may stand against it, then what it changes. */
export const RULES: Rules = {
  'create product': (turn, { sku, price, stock, warehouse }) => {
    const { state } = turn;
    turn.get(state.warehouses, warehouse);
    if (Object.values(state.products).some((product) => product.sku === sku)) {
      refuse(409, 'duplicate', { field: 'sku' });
    }
    const id = turn.found.id ?? 'a new product';
    state.products[id] = { sku, price, isActive: true, version: 1 };
    turn.level(id, warehouse);
    if (stock > 0) {
      turn.move({ product: id, warehouse }, { kind: 'initial', available: stock, reserved: 0 });
    }
    turn.audit('product.created', id);
    return { status: 201, body: productView(state, id), location: `/api/products/${id}` };
  },

  'change product': (turn, { product: id, price, isActive, ifMatch }) => {
    const product = turn.get(turn.state.products, id);
    assertVersion(product.version, ifMatch);
    Object.assign(product, { price: price ?? product.price, isActive: isActive ?? product.isActive });
    product.version += 1;
    turn.audit('product.updated', id);
    return { status: 200, body: productView(turn.state, id) };
  },

  'create warehouse': (turn, { code, priority }) => {
    if (Object.values(turn.state.warehouses).some((warehouse) => warehouse.code === code)) {
      refuse(409, 'duplicate', { field: 'code' });
    }
    const id = turn.found.id ?? 'a new warehouse';
    turn.state.warehouses[id] = { code, priority, isActive: true };
    turn.audit('warehouse.created', id);
    return { status: 201, body: { id, code, priority, is_active: true }, location: `/api/warehouses/${id}` };
  },

  'change warehouse': (turn, { warehouse: id, priority, isActive }) => {
    const warehouse = turn.get(turn.state.warehouses, id);
    warehouse.priority = priority ?? warehouse.priority;
    warehouse.isActive = isActive ?? warehouse.isActive;
    turn.audit('warehouse.updated', id);
    return { status: 200, body: { id, priority: warehouse.priority, is_active: warehouse.isActive } };
  },

  adjust: (turn, { product, warehouse, delta }) => {
    turn.get(turn.state.products, product);
    turn.get(turn.state.warehouses, warehouse);
    assertAvailable(turn, { product, warehouse, quantity: -delta });
    turn.move({ product, warehouse }, { kind: 'adjustment', available: delta, reserved: 0 });
    turn.audit('stock.adjusted', product);
    return { status: 201, body: levelView(turn, product, warehouse) };
  },

  transfer: (turn, { product, from, to, quantity }) => {
    turn.get(turn.state.products, product);
    turn.get(turn.state.warehouses, from);
    turn.get(turn.state.warehouses, to);
    assertAvailable(turn, { product, warehouse: from, quantity });
    turn.move({ product, warehouse: from }, { kind: 'transfer_out', available: -quantity, reserved: 0 });
    turn.move({ product, warehouse: to }, { kind: 'transfer_in', available: quantity, reserved: 0 });
    turn.audit('stock.transferred', product);
    return { status: 201, body: { quantity, from: levelView(turn, product, from), to: levelView(turn, product, to) } };
  },

  reserve: (turn, { lines, ttl }) => {
    const id = turn.found.id ?? 'a new reservation';
    hold(turn, { id, lines, ttl, prefix: lines.length > 1 ? 'items.' : undefined });
    return { status: 201, body: reservationView(turn.state, id), location: `/api/reservations/${id}` };
  },

  commit: (turn, { reservation: id }) => {
    const reservation = activeHold(turn, id);
    const order = reservation.order ?? turn.found.id ?? 'a new order';
    if (reservation.order === null) {
      turn.makeOrder(order, id);
    }
    turn.endHold(id, 'committed');
    turn.setStatus(order, 'confirmed');
    return orderAnswer(turn, order, 201);
  },

  cancel: (turn, { reservation: id }) => {
    const reservation = activeHold(turn, id);
    turn.endHold(id, 'cancelled');
    turn.cancelOrderOf(reservation);
    return { status: 200, body: reservationView(turn.state, id) };
  },

  extend: (turn, { reservation: id, ttl }) => {
    turn.getOwn(turn.state.reservations, id);
    assertTtl(ttl);
    const reservation = activeHold(turn, id);
    const latest = reservation.createdAt + MAX_TTL * 1000;
    reservation.expiresAt = Math.min((turn.found.at ?? 0) + ttl * 1000, latest);
    turn.audit('reservation.extended', id);
    return { status: 200, body: reservationView(turn.state, id) };
  },

  'order reservation': (turn, { reservation: id }) => {
    const reservation = activeHold(turn, id);
    if (reservation.order !== null) {
      refuse(409, 'duplicate', { field: 'reservation_id' });
    }
    const order = turn.found.id ?? 'a new order';
    turn.makeOrder(order, id);
    return orderAnswer(turn, order, 201);
  },

  'order items': (turn, { lines }) => {
    const { id: order = 'a new order', reservation = 'a new reservation' } = turn.found;
    hold(turn, { id: reservation, lines, order, prefix: 'items.' });
    turn.makeOrder(order, reservation);
    return orderAnswer(turn, order, 201);
  },

  'change status': (turn, { order: id, to, ifMatch }) => {
    turn.getOwn(turn.state.orders, id);
    const order = standing(turn.state, id);
    if (turn.command.by.role === 'user' && ADMINS_ALONE.includes(to)) {
      refuse(403, 'forbidden');
    }
    assertVersion(order.version, ifMatch);
    if (to === 'confirmed' && isOverdue(turn.state.reservations[order.reservation]!)) {
      activeHold(turn, order.reservation);
    }
    const from = order.status;
    if (!TRANSITIONS[from].includes(to)) {
      refuse(409, 'invalid_transition', { from, to, allowed: TRANSITIONS[from] });
    }
    if (to === 'confirmed') {
      turn.endHold(order.reservation, 'committed');
    } else if (from === 'pending') {
      turn.endHold(order.reservation, 'cancelled');
    } else if (to === 'cancelled') {
      const why = { reservation: order.reservation, order: id };
      order.items.forEach((item) =>
        turn.move(item, { kind: 'restock', available: item.quantity, reserved: 0, ...why }),
      );
    }
    turn.setStatus(id, to);
    return orderAnswer(turn, id, 200);
  },

  read: (turn, { thing, id }) => {
    const { state, command } = turn;
    if (thing === 'products') {
      const product = turn.get(state.products, id);
      return product.isActive || command.by.role === 'admin'
        ? { status: 200, body: productView(state, id) }
        : refuse(404, 'not_found');
    }
    turn.getOwn<{ user: Id }>(state[thing], id);
    return { status: 200, body: thing === 'orders' ? orderView(state, id) : reservationView(state, id) };
  },

  'let time pass': ({ state, found }, { reservation: id }) => {
    const reservation = state.reservations[id];
    const isRunning = reservation?.status === 'active';
    if (isRunning) {
      Object.assign(reservation, { isOver: true, expiresAt: found.at ?? 0 });
    }
    return { status: 200, body: { ended: isRunning } };
  },
};

/** Refuses what cannot be asked for, whatever there is: before anything else is looked at. */
export function assertValid(action: Action): void {
  switch (action.do) {
    case 'transfer':
      return action.from === action.to ? invalid('to_warehouse_id') : undefined;
    case 'change product':
      return (action.price ?? action.isActive) === undefined ? invalid('body') : undefined;
    case 'change warehouse':
      return (action.priority ?? action.isActive) === undefined ? invalid('body') : undefined;
    case 'reserve':
      return assertTtl(action.ttl);
    default:
  }
}

function invalid(field: string): never {
  return refuse(400, 'validation_failed', { errors: [{ field }] });
}

const ADMINS_ALONE: readonly OrderStatus[] = ['processing', 'shipped', 'delivered'];

interface Hold {
  readonly id: Id;
  readonly lines: readonly Line[];
  readonly ttl?: number;
  readonly order?: Id;
  /** How the request calls its lines; undefined for a single one, which the body itself spells out. */
  readonly prefix?: string;
}

function hold(turn: Turn, { id, lines, ttl = DEFAULT_TTL, order = undefined, prefix }: Hold): void {
  const { state, command } = turn;
  for (const { product } of lines) {
    if (!turn.get(state.products, product).isActive) {
      refuse(404, 'not_found');
    }
  }
  lines.forEach(({ warehouse }, index) => {
    if (warehouse !== undefined) {
      turn.get(state.warehouses, warehouse);
      if (!activeWarehouses(state).includes(warehouse)) {
        invalid(`${prefix === undefined ? '' : `${prefix}${index}.`}warehouse_id`);
      }
    }
  });
  const { items, shortages } = allocate(state, lines);
  if (shortages.length > 0) {
    turn.short(shortages);
  }
  // What is shown is what is allocated from.
  const asShown = allocate({ ...state, levels: shownLevels(state) }, lines).items;
  const of = (product: Id, all: readonly Item[]): string =>
    JSON.stringify(all.filter((item) => item.product === product));
  turn.tidyUp(lines.map(({ product }) => product).filter((product) => of(product, items) !== of(product, asShown)));
  const createdAt = turn.found.at ?? 0;
  const times = { createdAt, expiresAt: createdAt + ttl * 1000, isOver: false };
  state.reservations[id] = { user: command.by.id, items, status: 'active', order: order ?? null, ...times };
  for (const item of items) {
    const { quantity } = item;
    turn.move(item, { kind: 'reserve', available: -quantity, reserved: quantity, reservation: id, order });
  }
  turn.audit('reservation.created', id);
}

function activeHold(turn: Turn, id: Id): Reservation {
  const reservation = turn.getOwn(turn.state.reservations, id);
  const status = isOverdue(reservation) ? 'expired' : reservation.status;
  return status === 'active' ? reservation : refuse(409, 'reservation_not_active', { reservation_status: status });
}

function assertVersion(current: number, ifMatch: number | undefined): void {
  if (ifMatch !== undefined && ifMatch !== current) {
    refuse(412, 'version_mismatch', { current_version: current });
  }
}

function assertTtl(ttl = DEFAULT_TTL): void {
  if (ttl > MAX_TTL) {
    invalid('ttl_seconds');
  }
}

function assertAvailable(turn: Turn, { product, warehouse, quantity }: Line & { warehouse: Id }): void {
  const available = turn.state.levels[product]?.[warehouse]?.available ?? 0;
  if (available < quantity) {
    turn.short([{ product_id: product, warehouse_id: warehouse, requested: quantity, available }]);
  }
}

function orderAnswer(turn: Turn, id: Id, status: number): Answer {
  const body = orderView(turn.state, id);
  return status === 201 ? { status, body, location: `/api/orders/${id}` } : { status, body };
}

function levelView(turn: Turn, product: Id, warehouse: Id): Record<string, unknown> {
  return { product_id: product, warehouse_id: warehouse, ...stockView(turn.level(product, warehouse)) };
}
