import { AsyncResource } from 'node:async_hooks';
import { currentDeadline, until } from '../database/deadline';
import { CannotConnect, Overloaded } from '../errors/domain-errors';
import type { Metrics } from '../metrics/metrics';
import { type BatchWork, inParts, type Outcome } from './in-parts';

/** Large enough to share a commit among many jobs, small enough that its rows are not locked for long. */
const MAX_BATCH = 128;
/** The limit for jobs with many keys: a basket of a hundred products locks and writes a hundred rows. */
const MAX_KEYS = 1000;
/** Batches that run at once, each on its own connection, so that one that waits does not stop the others. */
const MAX_BATCHES = 2;
/** How many jobs may wait in total, as a multiple of the limit for one key. */
const TOTAL_LIMIT_FACTOR = 4;
/** The share of the time until its deadline that a job may wait; the rest is for its batch. */
const WAITING_SHARE = 2 / 3;

const ANSWERS_AT_ONCE = 4;

/** One piece of work in a batch. */
export interface Job {
  /** Jobs that share a key run in the order of their arrival, and never in two batches at once. */
  readonly orderingKeys: readonly string[];
  /** Whether nobody waits for its result any more. */
  readonly isAbandoned: () => boolean;
}

interface Waiting<J, Result> {
  readonly job: J;
  readonly since: number;
  /** After this the job is refused: its batch would have no time left. */
  readonly startBefore: number;
  readonly deadline: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: while a batch runs, arriving jobs wait, and the next batch takes them all. So many jobs share the cost
 * of a transaction, and a lone job starts at once. A waiting job blocks later ones with the same ordering key; the rest
 * go ahead.
 */
export class BatchQueue<J extends Job, Result> {
  private waiting: Waiting<J, Result>[] = [];
  private readonly waitingFor = new Map<string, number>();
  private readonly busy = new Set<string>();
  private underWay = 0;
  private isScheduled = false;
  private refusing: NodeJS.Timeout | undefined;
  // A batch must not run in the context of the request that happened to start it.
  private readonly outside = new AsyncResource('BatchQueue');

  constructor(
    private readonly work: BatchWork<J, Result>,
    private readonly limitForKey: number,
    private readonly metrics: Metrics,
  ) {}

  get length(): number {
    return this.waiting.length;
  }

  /**
   * Resolves with the job's own result when its transaction is committed.
   * @throws Overloaded at once if too many jobs wait, later if this one waited too long; any error of its work
   */
  submit(job: J): Promise<Result> {
    if (this.isFull(job)) {
      this.metrics.overloadRefusals.inc();
      return Promise.reject(new Overloaded());
    }
    const [since, deadline] = [performance.now(), currentDeadline()];
    const startBefore = since + (deadline - since) * WAITING_SHARE;
    return new Promise((resolve, reject) => {
      this.waiting.push({ job, since, startBefore, deadline, resolve, reject });
      this.count(job, 1);
      this.refuseInTime();
      this.schedule();
    });
  }

  /**
   * Refuses late jobs by timer: the running batch may take long, and they should not wait for its end to be refused.
   */
  private refuseInTime(): void {
    const [oldest] = this.waiting;
    if (oldest && !this.refusing) {
      const refuse = (): void => {
        this.refusing = undefined;
        const late = new Set(this.waiting.filter((one) => !this.canStillRun(one)));
        late.forEach(({ job }) => this.count(job, -1));
        this.waiting = this.waiting.filter((one) => !late.has(one));
        this.refuseInTime();
      };
      this.refusing = setTimeout(refuse, Math.max(1, oldest.startBefore - performance.now())).unref();
    }
  }

  private isFull({ orderingKeys }: J): boolean {
    return (
      this.waiting.length >= this.limitForKey * TOTAL_LIMIT_FACTOR ||
      orderingKeys.some((key) => (this.waitingFor.get(key) ?? 0) >= this.limitForKey)
    );
  }

  private count({ orderingKeys }: J, change: 1 | -1): void {
    for (const key of orderingKeys) {
      const waiting = (this.waitingFor.get(key) ?? 0) + change;
      if (waiting === 0) {
        this.waitingFor.delete(key);
      } else {
        this.waitingFor.set(key, waiting);
      }
    }
  }

  /** Starts in the next turn of the event loop, so that jobs which arrive together share a batch. */
  private schedule(): void {
    if (!this.isScheduled && this.underWay < MAX_BATCHES) {
      this.isScheduled = true;
      this.outside.runInAsyncScope(setImmediate, undefined, () => this.start());
    }
  }

  private start(): void {
    this.isScheduled = false;
    while (this.underWay < MAX_BATCHES) {
      const batch = this.takeBatch();
      if (batch.length === 0) {
        return;
      }
      void this.run(batch);
    }
  }

  /** The oldest jobs that may run now. A job that must wait blocks its keys, so that no later one overtakes it. */
  private takeBatch(): Waiting<J, Result>[] {
    const batch: Waiting<J, Result>[] = [];
    const rest: Waiting<J, Result>[] = [];
    const blocked = new Set(this.busy);
    let size = 0;
    for (const waiting of this.waiting) {
      const { orderingKeys } = waiting.job;
      const isFull = batch.length === MAX_BATCH || size >= MAX_KEYS;
      if (isFull || orderingKeys.some((key) => blocked.has(key))) {
        orderingKeys.forEach((key) => blocked.add(key));
        rest.push(waiting);
        continue;
      }
      this.count(waiting.job, -1);
      if (this.canStillRun(waiting)) {
        batch.push(waiting);
        size += orderingKeys.length;
      }
    }
    this.waiting = rest;
    return batch;
  }

  private canStillRun({ job, startBefore, reject }: Waiting<J, Result>): boolean {
    const isLate = performance.now() > startBefore;
    if (isLate || job.isAbandoned()) {
      this.metrics.overloadRefusals.inc(Number(isLate));
      reject(new Overloaded());
      return false;
    }
    return true;
  }

  private async run(batch: readonly Waiting<J, Result>[]): Promise<void> {
    const startedAt = performance.now();
    const keys = new Set(batch.flatMap(({ job }) => job.orderingKeys));
    this.underWay += 1;
    keys.forEach((key) => this.busy.add(key));
    this.metrics.batchSize.observe(batch.length);
    batch.forEach(({ since }) => this.metrics.queueWait.observe((startedAt - since) / 1000));
    // The deadline of the most urgent job: the others can be retried.
    const deadline = Math.min(...batch.map((waiting) => waiting.deadline));
    await until(deadline, () => this.carryOut(batch));
    this.metrics.batchDuration.observe((performance.now() - startedAt) / 1000);
    keys.forEach((key) => this.busy.delete(key));
    this.underWay -= 1;
    this.start();
  }

  private carryOut(batch: readonly Waiting<J, Result>[]): Promise<void> {
    const waitingOf = new Map(batch.map((waiting) => [waiting.job, waiting]));
    const jobs = batch.map(({ job }) => job);
    return inParts(
      jobs,
      { lockWait: 'wait' },
      {
        work: this.work,
        canStillRun: (job) => this.canStillRun(waitingOf.get(job)!),
        answer: (done, outcomes) => {
          answer(
            done.map((job) => waitingOf.get(job)!),
            outcomes,
          );
          this.refuseAllIfAway(outcomes[0]);
        },
      },
    );
  }

  /** If the database accepts no connection, each following batch would fail the same way, one after the other. */
  private refuseAllIfAway(outcome: Outcome<Result> | undefined): void {
    if (outcome && 'error' in outcome && outcome.error instanceof CannotConnect) {
      const { error } = outcome;
      this.waiting.forEach(({ reject }) => reject(error));
      this.waiting = [];
      this.waitingFor.clear();
    }
  }
}

/**
 * Answers a few jobs in each turn of the event loop: writing all answers at once would delay the statements of the next
 * batch.
 */
function answer<J, Result>(batch: readonly Waiting<J, Result>[], outcomes: readonly Outcome<Result>[], from = 0): void {
  setImmediate(() => {
    const to = Math.min(from + ANSWERS_AT_ONCE, batch.length);
    for (let index = from; index < to; index += 1) {
      const { resolve, reject } = batch[index]!;
      const outcome = outcomes[index]!;
      if ('error' in outcome) {
        reject(outcome.error);
      } else {
        resolve(outcome.answer);
      }
    }
    if (to < batch.length) {
      answer(batch, outcomes, to);
    }
  });
}
