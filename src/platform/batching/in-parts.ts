import type { LockWait } from '../database/rows.locks';
import { CannotConnect, DatabaseUnavailable, OutcomeUnknown, Overloaded, PoolExhausted } from '../errors/domain-errors';
import { log } from '../logging/logger';

/** Failures that no single job causes, so that a smaller batch would fail too. */
const FOR_ALL = [DatabaseUnavailable, OutcomeUnknown, PoolExhausted];
/** How often a job may read its rows: each time, others may change them before it has locked them. */
const MAX_LOOKS = 10;

/** The outcome of one job: its answer, or an error that concerns only this job. */
export type Outcome<Result> = { readonly answer: Result } | { readonly error: unknown };

/** Runs the jobs in order, all in one transaction, and returns the outcome of each. */
export type BatchWork<J, Result> = (jobs: readonly J[], lockWait: LockWait) => Promise<Outcome<Result>[]>;

/** Rows have changed since they were read: as an outcome it concerns one job, if thrown the whole batch. */
export class LookAgain extends Error {
  /** @param otherwise the error to answer after the tenth read */
  constructor(readonly otherwise: Error = new Overloaded()) {
    super();
  }
}

interface Batch<J, Result> {
  readonly work: BatchWork<J, Result>;
  /** Called before each try: a job may have waited too long by then. */
  readonly canStillRun: (job: J) => boolean;
  /** Called once for each job that was tried. */
  readonly answer: (jobs: readonly J[], outcomes: readonly Outcome<Result>[]) => void;
}

interface Try {
  readonly lockWait: LockWait;
  readonly looks?: number;
}

/**
 * Runs jobs in one transaction. If that fails, tries again in halves, down to the job that causes the failure. Jobs
 * that must read again are run again together. If a lock wait timed out, the halves skip locked rows. Never throws.
 */
export async function inParts<J, Result>(
  all: readonly J[],
  { lockWait, looks = 1 }: Try,
  batch: Batch<J, Result>,
): Promise<void> {
  const jobs = all.filter((job) => batch.canStillRun(job));
  if (jobs.length === 0) {
    return;
  }
  let outcomes: Outcome<Result>[];
  try {
    outcomes = await workOrOnceMore(batch.work, jobs, lockWait);
  } catch (error) {
    if (!(error instanceof LookAgain)) {
      await inHalves(jobs, { lockWait, looks }, batch, error);
      return;
    }
    outcomes = jobs.map(() => ({ error }));
  }
  const final = looks === MAX_LOOKS ? outcomes.map(withoutAnotherLook) : outcomes;
  const isDone = (index: number): boolean => !asksToLookAgain(final[index]!);
  batch.answer(
    jobs.filter((_, index) => isDone(index)),
    final.filter((_, index) => isDone(index)),
  );
  const again = jobs.filter((_, index) => !isDone(index));
  await inParts(again, { lockWait, looks: looks + 1 }, batch);
}

async function inHalves<J, Result>(
  jobs: readonly J[],
  { lockWait, looks }: Try,
  batch: Batch<J, Result>,
  error: unknown,
): Promise<void> {
  if (jobs.length === 1 || FOR_ALL.some((kind) => error instanceof kind)) {
    batch.answer(
      jobs,
      jobs.map(() => ({ error })),
    );
    return;
  }
  log.warn({ err: error, requests: jobs.length }, 'a batch failed; trying it again in halves');
  const middle = jobs.length >> 1;
  for (const half of [jobs.slice(0, middle), jobs.slice(middle)]) {
    await inParts(half, { lockWait: error instanceof Overloaded ? 'skip' : lockWait, looks }, batch);
  }
}

/** Tries once more on another connection if only this one broke. */
async function workOrOnceMore<J, Result>(
  work: BatchWork<J, Result>,
  jobs: readonly J[],
  lockWait: LockWait,
): Promise<Outcome<Result>[]> {
  try {
    return await work(jobs, lockWait);
  } catch (error) {
    if (error instanceof DatabaseUnavailable && !(error instanceof CannotConnect)) {
      return work(jobs, lockWait);
    }
    throw error;
  }
}

function asksToLookAgain(outcome: Outcome<unknown>): outcome is { error: LookAgain } {
  return 'error' in outcome && outcome.error instanceof LookAgain;
}

function withoutAnotherLook<Result>(outcome: Outcome<Result>): Outcome<Result> {
  return asksToLookAgain(outcome) ? { error: outcome.error.otherwise } : outcome;
}
