import { AsyncLocalStorage } from 'node:async_hooks';

/** How long work may take that was given no deadline: a run of a job, or what a program does at its start. */
export const LONGEST_WORK_MS = 15_000;

/** What is carried out at the moment, as far as the database is concerned: for one request, or for a batch of them. */
interface Work {
  /** When it must have ended, by the clock of `performance.now()`: its connection is taken from it then. */
  readonly deadline: number;
  readonly isInTransaction: boolean;
}

const current = new AsyncLocalStorage<Work>();

/** Runs `work` under a deadline that all of its transactions share. */
export function until<T>(deadline: number, work: () => T): T {
  return current.run({ deadline, isInTransaction: false }, work);
}

/** As `until`, for the work of a transaction that is being opened. */
export function untilInTransaction<T>(deadline: number, work: () => T): T {
  return current.run({ deadline, isInTransaction: true }, work);
}

/** The deadline of what runs now. */
export function currentDeadline(): number {
  return current.getStore()?.deadline ?? performance.now() + LONGEST_WORK_MS;
}

export function isInTransaction(): boolean {
  return current.getStore()?.isInTransaction ?? false;
}
