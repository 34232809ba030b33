import type { Position } from '../../platform/http/cursor';
import { RESERVATION_STATUSES, type ReservationStatus } from './reservation.entity';

export interface ReservationFilters {
  userId?: string;
  status?: ReservationStatus;
  productId?: string;
}

/** So few candidates are all looked at; where there are more, another way is taken. */
const FEW = 2000;
/** One more, as a select, so that the planner does not know it: where it believes in fewer, it might read and sort all. */
const SOME = `(SELECT ${FEW + 1})`;
/** Before and behind every id. */
const BEGINNING = `'00000000-0000-0000-0000-000000000000'`;
const END = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
const NOW = 'statement_timestamp()';

const OLDEST_ACTIVE = `(SELECT id FROM reservations WHERE status >= 'active' ORDER BY status, id LIMIT 1)`;

/** A list that is asked for; what is given is a parameter. */
interface List {
  readonly user?: string;
  readonly product?: string;
  readonly status?: ReservationStatus;
  /** Of the active ones, those that are still valid (by default), or those that are overdue. */
  readonly expiry?: `> ${typeof NOW}` | `<= ${typeof NOW}`;
  /** The id before which nothing needs to be looked at. */
  readonly since?: string;
  readonly after: string;
  readonly count: string;
}

/** Selects of ids, of which the newest are the page, and what they select from. */
interface Ways {
  readonly ctes: string[];
  readonly ways: string[];
}

/**
 * The statement that finds the ids of at most `count` reservations after a position, newest first. Each part of it walks
 * one index from the position on, or looks at a few candidates that such a walk gave: so that what is rare is found
 * without reading what lies between, whatever the planner thinks of it. Decision 11 says what is left.
 */
export function reservationIdsQuery(
  { userId, status, productId }: ReservationFilters,
  count: number,
  after: Position | undefined,
): { sql: string; values: unknown[] } {
  const values: unknown[] = [];
  const bind = (value: unknown, type: string): string => `$${values.push(value)}::${type}`;
  const list: List = {
    user: userId === undefined ? undefined : bind(userId, 'uuid'),
    product: productId === undefined ? undefined : bind(productId, 'uuid'),
    status,
    after: bind(after?.id ?? END, 'uuid'),
    count: bind(count, 'int'),
  };
  const { ctes, ways } = status === 'expired' ? withOverdue(list) : waysOf(list);
  const sql = `${ctes.length > 0 ? `WITH ${ctes.join(', ')}` : ''}
    SELECT DISTINCT id FROM (${union(ways)}) AS found ORDER BY id DESC LIMIT ${list.count}`;
  return { sql, values };
}

function waysOf(list: List): Ways {
  if (list.product === undefined) {
    return { ctes: [], ways: [walks(list)] };
  }
  if (list.user !== undefined) {
    return ofUserAndProduct(list);
  }
  return list.status === 'active' ? activeOfProduct(list) : { ctes: [], ways: [productWalk(list)] };
}

/**
 * A user's reservations of a product are a range of an index. Those with one status are found among some of the newest in
 * it; where these do not fill the page, among the user's or the product's with that status, if those are few; else in all
 * of the range, which is walked until the page is full.
 */
function ofUserAndProduct(list: List): Ways {
  const { user, status, count } = list;
  if (status === undefined) {
    return { ctes: [], ways: [itemsWalk(list)] };
  }
  const range = status === 'active' ? { ...list, since: OLDEST_ACTIVE } : list;
  const some = { ...list, count: SOME };
  const ctes = [
    `newest AS MATERIALIZED (${itemsWalk({ ...range, status: undefined, count: SOME })})`,
    `near AS MATERIALIZED (SELECT id FROM newest WHERE ${hasState('newest.id', list)} LIMIT ${count})`,
    `of_user AS MATERIALIZED (${walks(some, `(SELECT count(*) FROM near) < ${count}`, `NOT ${isFew('newest')}`)})`,
  ];
  const ways = [
    'SELECT id FROM near',
    `SELECT id FROM of_user WHERE ${isFew('of_user')} AND ${isOfProduct('of_user', list)}`,
  ];
  if (status === 'active') {
    return { ctes, ways: [...ways, itemsWalk(range, `NOT ${isFew('of_user')}`)] };
  }
  const ofProduct = productWalk({ ...some, user: undefined }, `NOT ${isFew('of_user')}`);
  const isOfUser = isReservation('of_product.id', `user_id = ${user}`);
  return {
    ctes: [...ctes, `of_product AS MATERIALIZED (${ofProduct})`],
    ways: [
      ...ways,
      `SELECT id FROM of_product WHERE ${isFew('of_product')} AND ${isOfUser}`,
      itemsWalk(range, `NOT ${isFew('of_product')}`),
    ],
  };
}

/** What is held of a product: found among all that is held or, where that is much, among the product's since then. */
function activeOfProduct(list: List): Ways {
  return {
    ctes: [`held AS MATERIALIZED (${someActive(`> ${NOW}`)})`],
    ways: [candidates('held', list), productWalk({ ...list, since: OLDEST_ACTIVE }, `NOT ${isFew('held')}`)],
  };
}

/** What has expired, and what is overdue, which reads so: little, unless no sweep has run for long. */
function withOverdue(list: List): Ways {
  const { ctes, ways } = waysOf(list);
  const overdue = { ...list, status: 'active', expiry: `<= ${NOW}`, since: OLDEST_ACTIVE } as const;
  const isMuch = `NOT ${isFew('overdue')}`;
  const walked = list.product === undefined ? walks(overdue, isMuch) : productWalk(overdue, isMuch);
  return {
    ctes: [...ctes, `overdue AS MATERIALIZED (${someActive(overdue.expiry)})`],
    ways: [...ways, candidates('overdue', list), walked],
  };
}

/** At most one more than a few: their own index knows when they end. */
function someActive(expiry: List['expiry']): string {
  return `SELECT id, user_id FROM reservations WHERE status = 'active' AND expires_at ${expiry}
    ORDER BY expires_at LIMIT ${FEW + 1}`;
}

function isFew(table: string): string {
  return `(SELECT count(*) FROM ${table}) <= ${FEW}`;
}

function candidates(table: string, { after, ...list }: List): string {
  const isOfUser = list.user === undefined ? [] : [`user_id = ${list.user}`];
  const ofProduct = list.product === undefined ? [] : [isOfProduct(table, list)];
  return `SELECT id FROM ${table} WHERE ${[isFew(table), `id < ${after}`, ...isOfUser, ...ofProduct].join(' AND ')}`;
}

/** OFFSET 0 has it looked up for each candidate: as a join, the planner might read all the items of a hot product. */
function isOfProduct(table: string, { product }: Pick<List, 'product'>): string {
  return `EXISTS (SELECT FROM reservation_items AS item
    WHERE item.reservation_id = ${table}.id AND item.product_id = ${product} OFFSET 0)`;
}

/** A user's reservations, those of a status, or all: a walk for each status, as each has its own order. */
function walks(list: List, ...conditions: string[]): string {
  const { user, status, expiry = `> ${NOW}` } = list;
  const ofUser: Record<string, string> = user === undefined ? {} : { user_id: user };
  if (status === undefined && user !== undefined) {
    // One walk that is carried out for each of them is planned once.
    const ofStatus = walk('reservations', { ...ofUser, status: 'one.status' }, list, conditions);
    return `SELECT id FROM unnest('{${RESERVATION_STATUSES.join(',')}}'::text[]) AS one (status)
      CROSS JOIN LATERAL (${ofStatus}) AS of_status`;
  }
  const live = status === 'active' ? [`expires_at ${expiry}`] : [];
  return walk('reservations', { ...ofUser, ...(status && { status: `'${status}'` }) }, list, [...live, ...conditions]);
}

/** How the ledger calls it when a hold ends so. */
const ENDINGS = { committed: 'commit', cancelled: 'release', expired: 'expire' } as const;

/** A product's reservations. Of those that have ended, the ledger knows how. */
function productWalk(list: List, ...conditions: string[]): string {
  const { product, status } = list;
  if (status === undefined || status === 'active') {
    return itemsWalk(list, ...conditions);
  }
  const key = { product_id: product!, kind: `'${ENDINGS[status]}'` };
  return walk('stock_movements', key, list, [`kind IN ('commit', 'release', 'expire')`, ...conditions]);
}

/** A product's reservations, or a user's of it: those with another status are passed over. */
function itemsWalk(list: List, ...conditions: string[]): string {
  const { user, product, status } = list;
  const key = { ...(user !== undefined && { user_id: user }), product_id: product! };
  const wanted = status === undefined ? [] : [hasState('reservation_id', list)];
  return walk('reservation_items', key, list, [...conditions, ...wanted]);
}

function hasState(id: string, { status, expiry = `> ${NOW}` }: List): string {
  const live = status === 'active' ? ` AND expires_at ${expiry}` : '';
  return isReservation(id, `status = '${status}'${live}`);
}

/** Looked up by nothing but its id: for what seems to be rare, the planner might read all that is active instead. */
function isReservation(id: string, condition: string): string {
  const one = `(SELECT * FROM reservations WHERE id = ${id} OFFSET 0) AS one`;
  return `EXISTS (SELECT FROM ${one} WHERE ${condition} OFFSET 0)`;
}

/**
 * The newest ids with this key, read backwards from an index of key and id. Compared as rows, not column by column, no other
 * order is quicker; an index that merely begins with the same column could still be chosen, as the ledger's primary key.
 */
function walk(
  table: string,
  key: Record<string, string>,
  { since = BEGINNING, after, count }: List,
  conditions: readonly string[],
): string {
  const [columns, values] = [Object.keys(key), Object.values(key)];
  const id = table === 'reservations' ? 'id' : 'reservation_id';
  const order = [...columns, id];
  const range = [`>= (${[...values, since].join(', ')})`, `< (${[...values, after].join(', ')})`];
  const within = range.map((bound) => `(${order.join(', ')}) ${bound}`);
  // More than once for one product, if it comes from several warehouses.
  return `SELECT ${id} AS id FROM (
    SELECT DISTINCT ${order.join(', ')} FROM ${table} WHERE ${[...within, ...conditions].join(' AND ')}
    ORDER BY ${order.map((column) => `${column} DESC`).join(', ')} LIMIT ${count}) AS walked`;
}

function union(selects: readonly string[]): string {
  return selects.map((select) => `(${select})`).join(' UNION ALL ');
}
