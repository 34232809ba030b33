import { setTimeout as pause } from 'node:timers/promises';
import type { Reply } from './api';
import type { TestDatabase } from './database';
import type { TestApp } from './test-app';

const POLL_MS = 3;

/** Runs an attempt so many times at once, and gives all answers in the order of the attempts. */
export function storm<T>(times: number, attempt: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: times }, (_, index) => attempt(index)));
}

/** Runs an attempt so many times, each when the one before it has ended: in a storm of these, batches are many. */
export async function inTurns<T>(times: number, attempt: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  while (results.length < times) {
    results.push(await attempt());
  }
  return results;
}

/** Asks again as long as the answer is 503, as clients do: nothing was changed, the machine is slow. */
export async function persistently(attempt: () => Promise<Reply>): Promise<Reply> {
  let reply: Reply;
  do {
    reply = await attempt();
  } while (reply.status === 503);
  return reply;
}

/** A door that opens when so many have come to it. */
export function meeting(size: number): () => Promise<void> {
  let open!: () => void;
  const door = new Promise<void>((resolve) => (open = resolve));
  let arrived = 0;
  return () => {
    arrived += 1;
    if (arrived === size) {
      open();
    }
    return door;
  };
}

/** How often each answer came: `{ '201': 5, '409 insufficient_stock': 45 }`. */
export function tally(replies: readonly Reply[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, body } of replies) {
    const answer = status < 300 ? String(status) : `${status} ${body.code}`;
    counts[answer] = (counts[answer] ?? 0) + 1;
  }
  return counts;
}

interface Statement {
  sql: string;
  values?: unknown[];
}

interface Interleaving extends Statement {
  /** So many statements have to wait before the lock is given back, or all of these in their places. */
  waiters?: number | readonly Attempt<unknown>[];
  /** What happens while they wait: a statement in the transaction that holds the lock, or anything else. */
  meanwhile?: Statement | (() => Promise<unknown>);
}

/** Something that comes to wait for a lock; if `queuedAt` is set, in the queue of that process instead. */
export type Attempt<T> = (() => Promise<T>) & { readonly queuedAt?: TestApp };

/** A request to hold stock that waits in its process, because a batch with its product is under way there. */
export function queuedAt<T>(process: TestApp, attempt: () => Promise<T>): Attempt<T> {
  return Object.assign(() => attempt(), { queuedAt: process });
}

/**
 * One fixed interleaving: takes a lock in a transaction of its own, starts `blocked`, waits until all `waiters` wait,
 * runs `meanwhile`, and only then commits and lets the others go on.
 */
export async function whileLocked<T>(
  database: TestDatabase,
  lock: Interleaving,
  blocked: () => Promise<T>,
): Promise<T> {
  const client = await database.pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(lock.sql, lock.values);
    const running = blocked();
    // If waiting fails first, that is the error to tell; this one must not end the process.
    running.catch(() => undefined);
    const { waiters = 1 } = lock;
    await (typeof waiters === 'number' ? untilWaiting(database, waiters) : untilInLine(database, waiters));
    if (typeof lock.meanwhile === 'function') {
      await lock.meanwhile();
    } else if (lock.meanwhile) {
      await client.query(lock.meanwhile.sql, lock.meanwhile.values);
    }
    await client.query('COMMIT');
    return await running;
  } finally {
    // Destroyed, not given back: where something above failed, its lock must not outlive this test.
    client.release(true);
  }
}

/**
 * One fixed interleaving of several: while a lock is held, starts each attempt when those before it wait, so that they
 * stand in line in this order; then gives the lock back.
 */
export function inLine<T>(database: TestDatabase, lock: Statement, attempts: Attempt<T>[]): Promise<T[]> {
  return whileLocked(database, { ...lock, waiters: attempts }, () => startInLine(database, attempts));
}

/** A way in which several who want the same product can stand in line for it. */
export interface Place {
  /** So many buyers of one piece, whom nothing else is known of, come before them. */
  readonly ahead: number;
  readonly line: <T>(attempts: ((process: TestApp) => Promise<T>)[], processes: [TestApp, TestApp]) => Attempt<T>[];
}

export const PLACES: Record<'in one batch' | 'in two batches' | 'in two processes', Place> = {
  'in one batch': {
    ahead: 1,
    line: (attempts, [here]) => attempts.map((attempt) => queuedAt(here, () => attempt(here))),
  },
  'in two batches': {
    ahead: 0,
    line: ([first, ...others], [here]) => [
      () => first!(here),
      ...others.map((attempt) => queuedAt(here, () => attempt(here))),
    ],
  },
  'in two processes': {
    ahead: 0,
    line: (attempts, processes) =>
      attempts.map((attempt, index) => {
        const process = processes[index % 2]!;
        return index < 2 ? () => attempt(process) : queuedAt(process, () => attempt(process));
      }),
  },
};

/** As `inLine`, at a place, for the levels of a product. Gives the answers of the attempts, not of those ahead of them. */
export async function inLineAt(
  { ahead, line }: Place,
  processes: [TestApp, TestApp],
  productId: string,
  attempts: ((process: TestApp) => Promise<Reply>)[],
): Promise<Reply[]> {
  const [{ aUser, database }] = processes;
  const buy = (): Promise<Reply> => aUser().post('/api/reservations', { product_id: productId, quantity: 1 });
  const lock = { sql: 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE', values: [productId] };
  const replies = await inLine(database, lock, [...Array<typeof buy>(ahead).fill(buy), ...line(attempts, processes)]);
  return replies.slice(ahead);
}

/** For `whileLocked`, whose `waiters` are the attempts. */
export async function startInLine<T>(database: TestDatabase, attempts: Attempt<T>[]): Promise<T[]> {
  const running: Promise<T>[] = [];
  for (const attempt of attempts) {
    await untilInLine(database, attempts.slice(0, running.length));
    running.push(attempt());
  }
  return Promise.all(running);
}

/** Returns when each of these, which were started, waits in its place. */
async function untilInLine(database: TestDatabase, attempts: readonly Attempt<unknown>[]): Promise<void> {
  const processes = attempts.flatMap(({ queuedAt }) => queuedAt ?? []);
  await untilWaiting(database, attempts.length - processes.length);
  for (const process of new Set(processes)) {
    await untilQueued(process, processes.filter((one) => one === process).length);
  }
}

/** Returns when so many requests wait in this process for their batch. */
export async function untilQueued({ anonymous }: TestApp, requests: number): Promise<void> {
  await until(async () => {
    const { text } = await anonymous.get('/metrics');
    return Number(/^holdfast_queue_requests (\d+)$/m.exec(text)![1]) >= requests;
  }, `${requests} requests wait for their batch`);
}

/** Returns when so many statements in this database wait for a lock; fails if they do not in ten seconds, or as many as given. */
export async function untilWaiting(database: TestDatabase, waiters: number, seconds?: number): Promise<void> {
  await until(
    async () => {
      const [row] = await database.query<{ waiting: number }>(
        `SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return row!.waiting >= waiters;
    },
    `${waiters} statements wait for a lock`,
    seconds,
  );
}

/** Returns when the condition holds; fails if it does not within ten seconds, or as many as are given. */
export async function until(condition: () => Promise<boolean>, what: string, seconds = 10): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline;) {
    if (await condition()) {
      return;
    }
    // Only so as not to ask in a tight loop: what is waited for is the condition.
    await pause(POLL_MS);
  }
  throw new Error(`Waited in vain until ${what}`);
}

/** The deadlocks that PostgreSQL had to end in this database. A session counts them at the latest when it ends. */
export async function deadlocksIn(database: TestDatabase): Promise<number> {
  await until(async () => {
    const sessions = await database.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'holdfast'`,
    );
    return sessions.length === 0;
  }, 'the service has no session');
  const [row] = await database.query<{ deadlocks: number }>(
    'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()',
  );
  return row!.deadlocks;
}
