import { DomainError, InsufficientStock, Overloaded } from '../../platform/errors/domain-errors';
import { replayed } from '../../platform/idempotency/idempotency-keys';
import type { HoldJob, HoldVerdict } from './hold-job';
import { type SeenLevel, ShortByOverdue } from './overdue';
import { type HoldDraft, Shelf } from './shelf';
import type { Sight } from './sight';

/**
 * What can be told each job at sight: what was answered before, or why nothing can be held for it even if it were alone.
 * The others are left out; only under lock it shows what is left for them.
 */
export function judgeAtSight(
  jobs: readonly HoldJob[],
  { assortment, levels, answered }: Sight,
): Map<HoldJob, HoldVerdict> {
  const shelf = new Shelf(assortment, levels);
  const verdicts = new Map<HoldJob, HoldVerdict>();
  for (const job of jobs) {
    const first = job.keyed && answered.get(job.keyed.identity);
    if (first) {
      verdicts.set(job, replayed(job.keyed, first));
      continue;
    }
    const found = orError(() => shelf.allot(job.lines));
    if (found instanceof DomainError) {
      verdicts.set(job, { error: found });
    }
  }
  return verdicts;
}

/** The error, if it is that stock is short. */
export function shortageOf(verdict: HoldVerdict | undefined): InsufficientStock | undefined {
  return verdict && 'error' in verdict && verdict.error instanceof InsufficientStock ? verdict.error : undefined;
}

/** @throws ShortByOverdue if a job is short of something that overdue holds may have */
export function assertNoneOverdue(verdicts: ReadonlyMap<HoldJob, HoldVerdict>, levels: readonly SeenLevel[]): void {
  const overdue = new Set(levels.filter((level) => level.overdueAtMost > 0).map(({ productId }) => productId));
  for (const [{ cause }, verdict] of verdicts) {
    const shortages = shortageOf(verdict)?.members.shortages ?? [];
    if (shortages.some((shortage) => overdue.has(shortage.product_id))) {
      throw new ShortByOverdue(shortages, cause.requestId);
    }
  }
}

export interface Decision {
  readonly drafts: ReadonlyMap<HoldJob, HoldDraft>;
  readonly errors: ReadonlyMap<HoldJob, DomainError>;
  /** Jobs that have the key of an earlier one with a draft, and that one. */
  readonly repeats: ReadonlyMap<HoldJob, HoldJob>;
  /** Those products of jobs with a draft that might come from other warehouses if overdue holds were expired. */
  readonly displaced: ReadonlyMap<HoldJob, readonly string[]>;
}

/** Decides one job after the other, each on what those before it have left. `isLocked` tells of products. */
export function decide(jobs: readonly HoldJob[], shelf: Shelf, isLocked: (productId: string) => boolean): Decision {
  const drafts = new Map<HoldJob, HoldDraft>();
  const errors = new Map<HoldJob, DomainError>();
  const repeats = new Map<HoldJob, HoldJob>();
  const displaced = new Map<HoldJob, string[]>();
  const holders = new Map<string, HoldJob>();
  for (const job of jobs) {
    const first = job.keyed && holders.get(job.keyed.identity);
    if (first) {
      repeats.set(job, first);
      continue;
    }
    const draft = job.lanes.every(isLocked) ? orError(() => shelf.draft(job.lines)) : new Overloaded();
    if (draft instanceof DomainError) {
      errors.set(job, draft);
      continue;
    }
    const elsewhere = shelf.displaced(job.lines);
    if (elsewhere.length > 0) {
      displaced.set(job, elsewhere);
    }
    shelf.take(draft);
    drafts.set(job, draft);
    if (job.keyed) {
      holders.set(job.keyed.identity, job);
    }
  }
  return { drafts, errors, repeats, displaced };
}

function orError<T>(decide: () => T): T | DomainError {
  try {
    return decide();
  } catch (error) {
    if (error instanceof DomainError) {
      return error;
    }
    throw error;
  }
}
