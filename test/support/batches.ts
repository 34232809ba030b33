import type { Reply } from './api';
import { ask, type Asked } from './asked';
import { rowCounts } from './database';
import { aProduct, aReservation } from './factories';
import { until, untilQueued, whileLocked } from './race';
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

/** Gives what waits until each of these processes has begun another batch. */
export async function nextBatchOf(processes: readonly TestApp[]): Promise<() => Promise<void>> {
  const begun = (): Promise<number[]> =>
    Promise.all(processes.map((process) => metricOf(process, 'holdfast_batch_requests_count')));
  const before = await begun();
  return () =>
    until(async () => (await begun()).every((batches, index) => batches > before[index]!), 'each has begun a batch');
}

/** Starts each attempt when those before it wait for their batch, so that they arrive in this order. */
export async function queueUp<T>(test: TestApp, attempts: readonly (() => Promise<T>)[]): Promise<Promise<T>[]> {
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

/** What keeps a queue waiting: something that is asked for first, and waits for a lock. */
export interface Opener {
  readonly lock: { readonly sql: string; readonly values: unknown[] };
  readonly attempt: () => Promise<unknown>;
}

export interface Queue {
  /** As many as there can be batches under way. */
  readonly openers: readonly Opener[];
  /** What all openers write. */
  readonly rows: Record<string, number>;
}

/**
 * Has these carried out in one batch, in this order: the openers keep their batches from ending until all attempts wait in
 * the process, then these end, and what waits is the next batch. Fails if there were more batches.
 */
export async function inOneBatchOf<T>(
  test: TestApp,
  { openers, rows }: Queue,
  attempts: readonly (() => Promise<T>)[],
  whileQueued: () => Promise<unknown> = async () => undefined,
): Promise<OneBatch<T>> {
  const [batchesBefore, requestsBefore] = await batchesSoFar(test);
  let running: Promise<T>[] = [];
  let before: Record<string, number> = {};
  const gather = async (): Promise<void> => {
    running = await queueUp(test, attempts);
    await whileQueued();
    before = await rowCounts(test.database);
  };
  const open = openers.reduceRight<() => Promise<unknown>>(
    (meanwhile, { lock, attempt }, index) =>
      () =>
        whileLocked(test.database, { ...lock, waiters: index + 1, meanwhile }, attempt),
    gather,
  );
  await open();
  const replies = await Promise.all(running);
  expect(await batchesSoFar(test)).toEqual([
    batchesBefore! + openers.length + 1,
    requestsBefore! + openers.length + attempts.length,
  ]);
  return { replies, written: difference(await rowCounts(test.database), before, rows) };
}

/** Has these named requests carried out in one batch, in this order. */
export async function askInOneBatch<Name extends string>(
  test: TestApp,
  queue: Queue,
  requests: Readonly<Record<Name, Asked>>,
): Promise<{ replies: Record<Name, Reply>; written: Record<string, number> }> {
  const names = Object.keys(requests) as Name[];
  const attempts = names.map((name) => () => ask(requests[name]));
  const { replies, written } = await inOneBatchOf(test, queue, attempts);
  const byName = Object.fromEntries(names.map((name, index) => [name, replies[index]]));
  return { replies: byName as Record<Name, Reply>, written };
}

/** Has these decided in one batch of holds, in this order. */
export async function inOneBatch<T>(
  test: TestApp,
  attempts: readonly (() => Promise<T>)[],
  whileQueued?: () => Promise<unknown>,
): Promise<OneBatch<T>> {
  const openers = [await aProduct(test), await aProduct(test)].map(({ id }) => ({
    lock: { sql: LOCK_LEVELS, values: [id] },
    attempt: () => aReservation(test.aUser(), id),
  }));
  const rows = { reservations: 2, reservation_items: 2, stock_movements: 2, audit_logs: 2 };
  return inOneBatchOf(test, { openers, rows }, attempts, whileQueued);
}

/** How many batches there were, and how many requests in them. */
function batchesSoFar(test: TestApp): Promise<number[]> {
  return Promise.all(['count', 'sum'].map((what) => metricOf(test, `holdfast_batch_requests_${what}`)));
}

function difference(
  after: Record<string, number>,
  before: Record<string, number>,
  others: Record<string, number>,
): Record<string, number> {
  const gained = Object.entries(after).map(([table, rows]) => [table, rows - before[table]! - (others[table] ?? 0)]);
  return Object.fromEntries(gained.filter(([, rows]) => rows !== 0));
}
