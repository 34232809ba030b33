import { DomainError, InsufficientStock, Overloaded } from '../../platform/errors/domain-errors';
import { type KeyedRequest, replay, type StoredAnswer } from '../../platform/idempotency/idempotency-keys';
import type { HoldJob, HoldVerdict } from './hold-job';
import { ShortByOverdue } from './overdue';
import { type HoldDraft, Shelf } from './shelf';
import type { Sight } from './sight';

/**
 * What can be told each job at sight: what was answered before, or why nothing can be held for it even if it were alone.
 * The others are left out; only under lock it shows what is left for them.
 * @throws ShortByOverdue if `countsOverdue` and a job is short of what overdue holds may have
 */
export function judgeAtSight(
  jobs: readonly HoldJob[],
  { assortment, levels, answered }: Sight,
  countsOverdue: boolean,
): Map<HoldJob, HoldVerdict> {
  const shelf = new Shelf(assortment, levels);
  const overdue = new Set(levels.filter((level) => level.mayBeOverdue).map(({ productId }) => productId));
  const verdicts = new Map<HoldJob, HoldVerdict>();
  for (const job of jobs) {
    const first = job.keyed && answered.get(job.keyed.identity);
    if (first) {
      verdicts.set(job, replayed(job.keyed, first));
      continue;
    }
    const draft = draftFrom(shelf, job);
    if (!(draft instanceof DomainError)) {
      continue;
    }
    if (countsOverdue && draft instanceof InsufficientStock && mayBeMended(draft, overdue)) {
      throw new ShortByOverdue(draft.members.shortages, job.cause.requestId);
    }
    verdicts.set(job, { error: draft });
  }
  return verdicts;
}

/** Whether overdue holds may have some of what is short. */
function mayBeMended({ members }: InsufficientStock, overdue: ReadonlySet<string>): boolean {
  return members.shortages.some((shortage) => overdue.has(shortage.product_id));
}

export interface Decision {
  readonly drafts: ReadonlyMap<HoldJob, HoldDraft>;
  readonly errors: ReadonlyMap<HoldJob, DomainError>;
  /** Jobs that have the key of an earlier one with a draft, and that one. */
  readonly repeats: ReadonlyMap<HoldJob, HoldJob>;
}

/** Decides one job after the other, each on what those before it have left. `isLocked` tells of products. */
export function decide(jobs: readonly HoldJob[], shelf: Shelf, isLocked: (productId: string) => boolean): Decision {
  const drafts = new Map<HoldJob, HoldDraft>();
  const errors = new Map<HoldJob, DomainError>();
  const repeats = new Map<HoldJob, HoldJob>();
  const holders = new Map<string, HoldJob>();
  for (const job of jobs) {
    const first = job.keyed && holders.get(job.keyed.identity);
    if (first) {
      repeats.set(job, first);
      continue;
    }
    const draft = job.lanes.every(isLocked) ? draftFrom(shelf, job) : new Overloaded();
    if (draft instanceof DomainError) {
      errors.set(job, draft);
      continue;
    }
    shelf.take(draft);
    drafts.set(job, draft);
    if (job.keyed) {
      holders.set(job.keyed.identity, job);
    }
  }
  return { drafts, errors, repeats };
}

/** The first answer again, or that another body was asked for then. */
export function replayed(request: KeyedRequest, first: StoredAnswer): HoldVerdict {
  try {
    return { result: replay<object>(request, first) };
  } catch (error) {
    return { error };
  }
}

function draftFrom(shelf: Shelf, { lines }: HoldJob): HoldDraft | DomainError {
  try {
    return shelf.draft(lines);
  } catch (error) {
    if (error instanceof DomainError) {
      return error;
    }
    throw error;
  }
}
