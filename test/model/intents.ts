import fc from 'fast-check';
import type { Action, Caller, Id, Line, OrderStatus, State } from './state';
import { standing, TRANSITIONS } from './wire';
import type { World } from './world';

/** The nth newest of the things that there are; the last one is none of them. */
interface Pick {
  readonly pick: 'products' | 'warehouses' | 'reservations' | 'orders';
  readonly nth: number;
}

/** A record that prints as what it is. */
export function plain<T>(fields: { [Name in keyof T]: fc.Arbitrary<T[Name]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true });
}

const NONE = 9;
const NOBODY_KNOWS = '00000000-0000-7000-8000-00000000dead';

/** An action whose things are not known yet, since the service gives the ids. */
export interface Intent {
  readonly by: 'owner' | 'other' | 'admin';
  readonly key?: string;
  readonly action: Readonly<Record<string, unknown>> & { readonly do: Action['do'] };
}

const one = (pick: Pick['pick']): fc.Arbitrary<Pick> =>
  fc
    .oneof({ weight: 20, arbitrary: fc.nat(2) }, { weight: 15, arbitrary: fc.nat(NONE - 1) }, fc.constant(NONE))
    .map((nth) => ({ pick, nth }));
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });

const quantity = fc.constantFrom(1, 1, 1, 2, 2, 3, 5);
const from = often<Pick | undefined>(fc.constant(undefined), one('warehouses'));
const line = plain({ product: one('products'), quantity, warehouse: from });
const lines = fc.array(line, { minLength: 1, maxLength: 3, size: 'max' });
const yes = often(fc.constant(true), fc.constant(false));
/** None ends by itself while a game lasts: time passes when it is told to. */
const ttl = fc.constantFrom(600, 3000, 3600, 3600, 3601);
const key = fc.constantFrom('key-0', 'key-1');
const ifMatch = fc.constantFrom(undefined, undefined, 'right', 'wrong');
/** Mostly where the order can go: on, or to be cancelled where it may. */
const to = often(
  fc.constantFrom('next', 'next', 'last'),
  fc.constantFrom('confirmed', 'cancelled', 'processing', 'shipped', 'delivered', 'pending'),
);
const price = fc.integer({ min: 1, max: 5000 });
const priority = fc.constantFrom(10, 50, 100, 200);

type Fields = Record<string, fc.Arbitrary<unknown>>;

/** The fields of each action. */
const FIELDS: Record<Action['do'], Fields> = {
  'create product': { sku: fc.nat(5), price, stock: fc.nat(5), warehouse: one('warehouses') },
  'change product': { product: one('products'), price: maybe(price), isActive: maybe(yes), ifMatch },
  'create warehouse': { code: fc.nat(3), priority },
  'change warehouse': { warehouse: one('warehouses'), priority: maybe(priority), isActive: maybe(yes) },
  adjust: {
    ...{ product: one('products'), warehouse: one('warehouses') },
    delta: fc.constantFrom(1, 2, 3, 5, -1, -2, -4),
  },
  transfer: { product: one('products'), from: one('warehouses'), to: one('warehouses'), quantity },
  reserve: { lines, ttl: maybe(ttl) },
  commit: { reservation: one('reservations') },
  cancel: { reservation: one('reservations') },
  extend: { reservation: one('reservations'), ttl },
  'order reservation': { reservation: one('reservations') },
  'order items': { lines },
  'change status': { order: one('orders'), to, ifMatch },
  read: { thing: fc.constantFrom('products', 'reservations', 'orders'), id: fc.nat(NONE) },
  'let time pass': { reservation: one('reservations') },
  sweep: {},
};

const OF_ADMINS = ['create product', 'change product', 'create warehouse', 'change warehouse', 'adjust', 'transfer'];

const [owner, other, admin] = [fc.constant('owner'), fc.constant('other'), fc.constant('admin')];
const byOwner = often(owner, admin, other);
const byEither = fc.oneof({ weight: 3, arbitrary: owner }, { weight: 4, arbitrary: admin }, other);
const byAdmin = often(admin, other);

/** @param weights how often each action is wanted; those that are left out are not */
export function intents(weights: Partial<Record<Action['do'], number>>): fc.Arbitrary<Intent> {
  return fc.oneof(
    ...Object.entries(weights).map(([name, weight]) => ({
      weight,
      arbitrary: plain({
        by: OF_ADMINS.includes(name) ? byAdmin : name === 'change status' ? byEither : byOwner,
        key: often(fc.constant(undefined), key),
        action: plain({ do: fc.constant(name as Action['do']), ...FIELDS[name as Action['do']] }),
      }),
    })),
  );
}

/** The first most of the time. */
function often<T>(first: fc.Arbitrary<T>, ...others: fc.Arbitrary<T>[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 6, arbitrary: first }, ...others);
}

/** Who does what, now that it is known what there is; undefined if there is nothing to do it to. */
export function resolve(
  intent: Intent,
  state: State,
  { callers, tag }: World,
): { by: Caller; action: Action; key?: string } | undefined {
  try {
    const action = withIds(withTag(intent.action, tag), state) as Action;
    const owner = ownerOf(action, state) ?? callers.alice.id;
    const isBobs = (owner === callers.bob.id) === (intent.by === 'owner');
    const by = intent.by === 'admin' ? callers.admin : isBobs ? callers.bob : callers.alice;
    return { by, action: fitting(action, state), key: intent.key };
  } catch (error) {
    if (error instanceof NothingThere) {
      return undefined;
    }
    throw error;
  }
}

class NothingThere extends Error {}

/** Replaces every pick, however deep, by the id of what it means. */
function withIds(value: unknown, state: State): unknown {
  if (Array.isArray(value)) {
    return value.map((item) => withIds(item, state));
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  if ('pick' in value) {
    return idOf(value as Pick, state);
  }
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withIds(inner, state)]));
}

function idOf({ pick, nth }: Pick, state: State): Id {
  const ids = Object.keys(state[pick]);
  if (nth === NONE) {
    return NOBODY_KNOWS;
  }
  if (ids.length === 0) {
    throw new NothingThere();
  }
  return ids[ids.length - 1 - (nth % ids.length)]!;
}

function withTag(action: Intent['action'], tag: string): Intent['action'] {
  const { sku, code, thing, id } = action;
  return {
    ...action,
    ...(sku !== undefined && { sku: `${tag}-${Number(sku)}` }),
    ...(code !== undefined && { code: `${tag}-${Number(code)}` }),
    ...(thing !== undefined && { id: { pick: thing, nth: id } }),
  };
}

/** With what depends on how things are: the version that `If-Match` names, and where an order is to go. */
function fitting(action: Action, state: State): Action {
  switch (action.do) {
    case 'change status': {
      const order = state.orders[action.order];
      const shown = order && standing(state, action.order);
      return { ...action, ...matching(action, shown), to: targetFrom(order?.status, action.to) };
    }
    case 'change product':
      return { ...action, ...matching(action, state.products[action.product]) };
    default:
      return action;
  }
}

function matching({ ifMatch }: { ifMatch?: unknown }, { version } = { version: 1 }): { ifMatch?: number } {
  return ifMatch === undefined ? {} : { ifMatch: ifMatch === 'right' ? version : version + 1 };
}

function targetFrom(status: OrderStatus | undefined, wanted: OrderStatus | 'next' | 'last'): OrderStatus {
  const targets = status === undefined ? [] : TRANSITIONS[status];
  return wanted === 'next' || wanted === 'last' ? (targets.at(wanted === 'next' ? 0 : -1) ?? 'pending') : wanted;
}

function ownerOf(action: Action, { orders, reservations }: State): Id | undefined {
  switch (action.do) {
    case 'change status':
      return orders[action.order]?.user;
    case 'read':
      return (orders[action.id] ?? reservations[action.id])?.user;
    default:
      return 'reservation' in action ? reservations[action.reservation]?.user : undefined;
  }
}

/** The same request, but for what it asks for; unchanged if it asks for nothing. */
export function otherwise(action: Action): Action {
  switch (action.do) {
    case 'reserve':
    case 'order items': {
      const [first, ...others] = action.lines as [Line, ...Line[]];
      return { ...action, lines: [{ ...first, quantity: first.quantity + 1 }, ...others] };
    }
    case 'adjust':
      return { ...action, delta: 2 * action.delta };
    case 'transfer':
      return { ...action, quantity: action.quantity + 1 };
    case 'extend':
      return { ...action, ttl: action.ttl + 1 };
    case 'create product':
      return { ...action, price: action.price + 1 };
    default:
      return action;
  }
}
