import type { LockWait } from '../database/rows.locks';
import { CannotConnect, DatabaseUnavailable, OutcomeUnknown, Overloaded, PoolExhausted } from '../errors/domain-errors';
import { log } from '../logging/logger';

/** What no job is to blame for, and no smaller batch would be spared. */
const FOR_ALL = [DatabaseUnavailable, OutcomeUnknown, PoolExhausted];
/** How often a job is looked at: each time others may have changed the same rows before it had them locked. */
const MAX_LOOKS = 10;

/** What became of one job: its answer, or an error that is its own and concerns no other. */
export type Outcome<Result> = { readonly answer: Result } | { readonly error: unknown };

/** Does the jobs in their order, all in one transaction, and says what became of each. */
export type BatchWork<J, Result> = (jobs: readonly J[], lockWait: LockWait) => Promise<Outcome<Result>[]>;

/** Rows have changed since they were looked at: for the job whose error it is, or for the whole batch if it is thrown. */
export class LookAgain extends Error {
  /** @param otherwise what it is told when it has looked ten times */
  constructor(readonly otherwise: Error = new Overloaded()) {
    super();
  }
}

interface Batch<J, Result> {
  readonly work: BatchWork<J, Result>;
  /** Asked before each try: a job may have waited too long by then. */
  readonly isWorthDoing: (job: J) => boolean;
  /** Called once for each job that was worth doing. */
  readonly answer: (jobs: readonly J[], outcomes: readonly Outcome<Result>[]) => void;
}

interface Try {
  readonly lockWait: LockWait;
  readonly looks?: number;
}

/**
 * Does jobs together, and in parts where that fails: in halves, down to the job that is to blame, and without those that
 * are to look again. If a lock did not come in time, the halves skip what is locked. Never throws.
 */
export async function inParts<J, Result>(
  all: readonly J[],
  { lockWait, looks = 1 }: Try,
  batch: Batch<J, Result>,
): Promise<void> {
  const jobs = all.filter((job) => batch.isWorthDoing(job));
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

/** If it was only one connection that broke, there are others. */
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
