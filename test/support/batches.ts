import { rowCounts } from './database';
import { aProduct, aReservation, type Product } from './factories';
import { untilQueued, whileLocked } from './race';
import type { TestApp } from './test-app';

export const LOCK_LEVELS = 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE';

/** What another process would have written that is about to answer a request with this key. */
export const HOLD_KEY = `
  INSERT INTO idempotency_keys (caller, method, path, key, fingerprint)
  VALUES ($1, 'POST', '/api/reservations', $2, 'of another process')`;

/** What one line of `/metrics` says, or 0 if it is not there: `holdfast_batch_requests_count`. */
export async function metricOf({ anonymous }: TestApp, name: string): Promise<number> {
  const line = (await anonymous.get('/metrics')).text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

/** Starts each attempt when those before it wait for their batch, so that they arrive in this order. */
export async function queueUp<T>(test: TestApp, attempts: (() => Promise<T>)[]): Promise<Promise<T>[]> {
  const running: Promise<T>[] = [];
  for (const attempt of attempts) {
    const answer = attempt();
    // If waiting fails first, that is the error to tell; this one must not end the process.
    answer.catch(() => undefined);
    running.push(answer);
    await untilQueued(test, running.length);
  }
  return running;
}

export interface OneBatch<T> {
  /** In the order of the attempts. */
  readonly replies: T[];
  /** How many rows of each table the batch has made; a table of which it has made none is left out. */
  readonly written: Record<string, number>;
}

/** A hold is made for each of the two requests that keep everything waiting. */
const OPENERS: Record<string, number> = { reservations: 2, reservation_items: 2, stock_movements: 2, audit_logs: 2 };

/**
 * Has these decided in one batch, in this order. Two batches can be under way at once: two requests for products of
 * their own keep both from ending until all attempts wait, then the one ends, and what waits is the next batch. Fails
 * if it was more than one.
 */
export async function inOneBatch<T>(
  test: TestApp,
  attempts: (() => Promise<T>)[],
  whileQueued: () => Promise<unknown> = async () => undefined,
): Promise<OneBatch<T>> {
  const [one, other] = [await aProduct(test), await aProduct(test)];
  const [batches, requests] = await batchesSoFar(test);
  let running: Promise<T>[] = [];
  let rows: Record<string, number> = {};
  const gather = async (): Promise<void> => {
    running = await queueUp(test, attempts);
    await whileQueued();
    rows = await rowCounts(test.database);
  };
  const open = (product: Product) => (): Promise<unknown> => aReservation(test.aUser(), product.id);
  const holdOther = { sql: LOCK_LEVELS, values: [other.id], waiters: 2, meanwhile: gather };
  const holdBoth = {
    ...{ sql: LOCK_LEVELS, values: [one.id] },
    meanwhile: () => whileLocked(test.database, holdOther, open(other)),
  };
  await whileLocked(test.database, holdBoth, open(one));
  const replies = await Promise.all(running);
  expect(await batchesSoFar(test)).toEqual([batches! + 3, requests! + 2 + attempts.length]);
  return { replies, written: difference(await rowCounts(test.database), rows) };
}

/** How many batches there were, and how many requests in them. */
function batchesSoFar(test: TestApp): Promise<number[]> {
  return Promise.all(['count', 'sum'].map((what) => metricOf(test, `holdfast_batch_requests_${what}`)));
}

function difference(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  const gained = Object.entries(after).map(([table, rows]) => [table, rows - before[table]! - (OPENERS[table] ?? 0)]);
  return Object.fromEntries(gained.filter(([, rows]) => rows !== 0));
}
