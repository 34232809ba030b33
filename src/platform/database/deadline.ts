import { AsyncLocalStorage } from 'node:async_hooks';

/** The time limit for work without a deadline: a run of a job, or the start of a program. */
export const LONGEST_WORK_MS = 15_000;

/** The current database work, of one request or of a batch of them. */
interface Work {
  /** When it must have ended, by `performance.now()`: its connection is cut then. */
  readonly deadline: number;
  readonly isInTransaction: boolean;
}

const current = new AsyncLocalStorage<Work>();

/** Runs `work` under a deadline that all of its transactions share. */
export function until<T>(deadline: number, work: () => T): T {
  return current.run({ deadline, isInTransaction: false }, work);
}

/** Like `until`, for the work inside a transaction. */
export function untilInTransaction<T>(deadline: number, work: () => T): T {
  return current.run({ deadline, isInTransaction: true }, work);
}

/** The deadline of the current work. */
export function currentDeadline(): number {
  return current.getStore()?.deadline ?? performance.now() + LONGEST_WORK_MS;
}

export function isInTransaction(): boolean {
  return current.getStore()?.isInTransaction ?? false;
}
