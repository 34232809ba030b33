import { setTimeout as pause } from 'node:timers/promises';
import type { Reply } from './api';
import type { TestDatabase } from './database';

const POLL_MS = 3;

/** Runs an attempt so many times at once, and gives all answers in the order of the attempts. */
export function storm<T>(times: number, attempt: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: times }, (_, index) => attempt(index)));
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
  /** So many statements have to wait before the lock is given back. */
  waiters?: number;
  /** What happens while they wait: a statement in the transaction that holds the lock, or anything else. */
  meanwhile?: Statement | (() => Promise<unknown>);
}

/**
 * One fixed interleaving: takes a lock in a transaction of its own, starts `blocked`, waits until so many statements
 * wait for a lock, runs `meanwhile`, and only then commits and lets the others go on.
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
    await untilWaiting(database, lock.waiters ?? 1);
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
export function inLine<T>(database: TestDatabase, lock: Statement, attempts: (() => Promise<T>)[]): Promise<T[]> {
  return whileLocked(database, { ...lock, waiters: attempts.length }, () => startInLine(database, attempts));
}

/** For `whileLocked`, whose `waiters` is the number of attempts. */
export async function startInLine<T>(database: TestDatabase, attempts: (() => Promise<T>)[]): Promise<T[]> {
  const running: Promise<T>[] = [];
  for (const attempt of attempts) {
    await untilWaiting(database, running.length);
    running.push(attempt());
  }
  return Promise.all(running);
}

/** Returns when so many statements in this database wait for a lock. */
export async function untilWaiting(database: TestDatabase, waiters: number): Promise<void> {
  await until(async () => {
    const [row] = await database.query<{ waiting: number }>(
      `SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return row!.waiting >= waiters;
  }, `${waiters} statements wait for a lock`);
}

/** Returns when the condition holds; fails if it does not within ten seconds. */
export async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline;) {
    if (await condition()) {
      return;
    }
    // Only so as not to ask in a tight loop: what is waited for is the condition.
    await pause(POLL_MS);
  }
  throw new Error(`Waited in vain until ${what}`);
}
