import type { Cause } from '../context/request-context';
import type { LockWait } from '../database/rows.locks';
import { together } from '../database/together';
import type { TransactionRunner } from '../database/transaction-runner';
import { DomainError, Overloaded } from '../errors/domain-errors';
import type { Answer } from '../http/answer';
import { type KeyedRequest, replayed, type StoredAnswer } from '../idempotency/idempotency-keys';
import type { IdempotencyService } from '../idempotency/idempotency.service';
import type { Metrics } from '../metrics/metrics';
import type { Job } from './batch-queue';
import type { Caused, Change, Decision, Model, Prepare } from './command';
import { LookAgain, type Outcome } from './in-parts';

/** How often prerequisites are fulfilled before a batch goes on without: new ones may keep coming. */
const MAX_PREPARATIONS = 10;

/** One request to a command, as a job of the queue. */
export interface CommandJob<Needs, Snapshot> extends Job {
  readonly needs: Needs;
  readonly prerequisites: (seen: Snapshot) => readonly string[];
  readonly check: (seen: Snapshot) => void;
  readonly decide: (locked: Snapshot) => Decision;
  readonly cause: Cause;
  readonly keyed: KeyedRequest | undefined;
}

export type AnswerOutcome = Outcome<Answer<object>>;

/** What a transaction has locked, and the changes decided so far. */
interface Session<Snapshot> {
  readonly locked: Snapshot;
  readonly changes: Caused<Change>[];
}

/** What was read without locks, and the stored answers of keys, by identity. */
interface Look<Snapshot> {
  readonly seen: Snapshot;
  readonly answered: ReadonlyMap<string, StoredAnswer>;
}

/**
 * Runs many commands in one transaction. First it reads without locks: a request that repeats an answered one, or that
 * must be refused, is answered at once, and nothing is written. For the others it takes keys and locks, decides one
 * after the other in the order of their arrival, and writes all changes with COMMIT.
 */
export class CommandRunner<Needs, Snapshot> {
  constructor(
    private readonly model: Model<Needs, Snapshot>,
    private readonly prepare: Prepare,
    private readonly transactions: TransactionRunner,
    private readonly idempotency: IdempotencyService,
    private readonly metrics: Metrics,
  ) {}

  /** Returns the outcome of each job. The error LookAgain means that its rows have changed meanwhile. */
  async run(jobs: readonly CommandJob<Needs, Snapshot>[], lockWait: LockWait): Promise<AnswerOutcome[]> {
    const { seen, answered } = await this.lookPrepared(jobs, lockWait);
    const outcomes = new Map<CommandJob<Needs, Snapshot>, AnswerOutcome>();
    for (const job of jobs) {
      const first = job.keyed && answered.get(job.keyed.identity);
      const outcome = first ? replayed(job.keyed, first) : refusalOf(() => job.check(seen));
      if (outcome) {
        outcomes.set(job, outcome);
      }
    }
    const open = jobs.filter((job) => !outcomes.has(job));
    if (open.length > 0) {
      const decided = await this.carryOut(open, seen, lockWait);
      open.forEach((job, index) => outcomes.set(job, decided[index]!));
    }
    return jobs.map((job) => outcomes.get(job)!);
  }

  /** Reads again until the prerequisites of all unanswered jobs are fulfilled. */
  private async lookPrepared(
    jobs: readonly CommandJob<Needs, Snapshot>[],
    lockWait: LockWait,
  ): Promise<Look<Snapshot>> {
    for (let preparations = 0; ; preparations += 1) {
      const look = await this.look(jobs);
      const isAnswered = ({ keyed }: CommandJob<Needs, Snapshot>): boolean => look.answered.has(keyed?.identity ?? '');
      const prerequisites = new Set<string>();
      let first: CommandJob<Needs, Snapshot> | undefined;
      for (const job of jobs.filter((one) => !isAnswered(one))) {
        // A refused request has none.
        refusalOf(() => {
          for (const prerequisite of job.prerequisites(look.seen)) {
            prerequisites.add(prerequisite);
            first ??= job;
          }
        });
      }
      if (!first) {
        return look;
      }
      const mayPrepare = lockWait === 'wait' && preparations < MAX_PREPARATIONS;
      if (!mayPrepare || !(await this.prepare([...prerequisites], first.cause.requestId))) {
        return { ...look, seen: this.model.withoutPrerequisites(look.seen) };
      }
    }
  }

  private async look(jobs: readonly CommandJob<Needs, Snapshot>[]): Promise<Look<Snapshot>> {
    const needs = jobs.map((job) => job.needs);
    const [seen, answered] = await this.transactions.read((manager) =>
      // The keys are read last: if a key is missing, its first request had changed nothing when the rows were read.
      together([this.model.look(manager, needs), this.idempotency.recall(manager, jobs)]),
    );
    return { seen, answered };
  }

  private carryOut(
    jobs: readonly CommandJob<Needs, Snapshot>[],
    seen: Snapshot,
    lockWait: LockWait,
  ): Promise<AnswerOutcome[]> {
    return this.idempotency.runAll<CommandJob<Needs, Snapshot>, Session<Snapshot>>(jobs, lockWait, {
      begin: async ({ tx }, wait) => {
        const startedAt = performance.now();
        const locked = await this.model.lock(tx, seen, wait);
        this.metrics.lockWait.observe((performance.now() - startedAt) / 1000);
        return { locked, changes: [] };
      },
      carryOut: ({ locked, changes }, job) => {
        if (lockWait !== 'wait' && !this.model.isLocked(seen, locked, job.needs)) {
          return { error: new Overloaded() };
        }
        let decision: Decision | undefined;
        const refusal = refusalOf(() => (decision = job.decide(locked)));
        if (!decision) {
          return refusal!;
        }
        for (const change of decision.changes) {
          this.model.apply(locked, change);
          changes.push({ ...change, cause: job.cause });
        }
        return { answer: decision.answer };
      },
      end: async (unit, { locked, changes }, outcomes) => {
        const refusals = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []));
        if (lockWait === 'wait' && !(await this.model.areFinal(unit.tx, locked, refusals))) {
          throw new LookAgain();
        }
        this.model.write(unit, changes);
      },
    });
  }
}

/** Catches an error that concerns only this request; any other is thrown. */
function refusalOf(work: () => void): { error: DomainError | LookAgain } | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof DomainError || error instanceof LookAgain) {
      return { error };
    }
    throw error;
  }
}
