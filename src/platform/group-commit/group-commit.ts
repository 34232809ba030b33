import { AsyncResource } from 'node:async_hooks';
import { currentDeadline, until } from '../database/deadline';
import { CannotConnect, DatabaseUnavailable, OutcomeUnknown, Overloaded, PoolExhausted } from '../errors/domain-errors';
import { log } from '../logging/logger';
import type { Metrics } from '../metrics/metrics';

/** Large enough to share a commit among many, small enough that its rows are not locked for long. */
const MAX_BATCH = 128;
/** The same for jobs of many lanes: a basket of a hundred products has a hundred rows to lock and to write. */
const MAX_LANES = 1000;
/** Batches under way at once, each on a connection: what one of them waits for does not stop the others. */
const MAX_BATCHES = 2;
/** Requests of all lanes that may wait, as a multiple of what one lane may have. */
const TOTAL_LANES_FULL = 4;
/** The part of the time up to its deadline that a request may wait; the rest is for its batch. */
const WAITING_SHARE = 2 / 3;

const ANSWERS_AT_ONCE = 4;

/** What no request is to blame for, and no smaller batch would be spared. */
const FOR_ALL = [DatabaseUnavailable, OutcomeUnknown, PoolExhausted];

/** Something to be done in the next batch. */
export interface Job {
  /** The names of what it needs alone: two batches that are under way at once have none of them in common. */
  readonly lanes: readonly string[];
  /** No two jobs of one batch have this in common: the later one goes in a later batch, and the others pass it. */
  readonly alone?: string;
  /** Whether nobody waits for it any more. */
  readonly isAbandoned: () => boolean;
}

/** What became of one job: its result, or an error that is its own and concerns no other. */
export type Verdict<Result> = { readonly result: Result } | { readonly error: unknown };

export interface BatchMode {
  /** Whether to wait for locks that others hold. When a batch has waited in vain, its parts do not wait again. */
  readonly isPatient: boolean;
}

/** Does the jobs in their order, all in one transaction, and says what became of each. */
export type BatchWork<J, Result> = (jobs: readonly J[], mode: BatchMode) => Promise<Verdict<Result>[]>;

interface Waiting<J, Result> {
  readonly job: J;
  readonly since: number;
  /** Past this it is refused: its batch would have no time left. */
  readonly patientUntil: number;
  readonly deadline: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: while a batch is under way, the jobs that arrive wait; the next batch takes them all. So the price of a
 * transaction is shared by as many as there are, and a lone job waits for nothing. Jobs of one lane are done in the
 * order of their arrival, by one batch at a time; lanes that are free pass those that are not.
 */
export class GroupCommit<J extends Job, Result> {
  private waiting: Waiting<J, Result>[] = [];
  private readonly waitingIn = new Map<string, number>();
  private readonly busy = new Set<string>();
  private underWay = 0;
  private isScheduled = false;
  private refusing: NodeJS.Timeout | undefined;
  // A batch is nobody's: what it runs in must not be the context of the request that happened to start it.
  private readonly outside = new AsyncResource('GroupCommit');

  constructor(
    private readonly work: BatchWork<J, Result>,
    private readonly laneLimit: number,
    private readonly metrics: Metrics,
  ) {}

  get length(): number {
    return this.waiting.length;
  }

  /**
   * Resolves with the job's own result when its transaction is committed.
   * @throws Overloaded at once if too many wait, or if it waited too long; what the work says or throws for it
   */
  submit(job: J): Promise<Result> {
    if (this.isFull(job)) {
      this.metrics.overloadRefusals.inc();
      return Promise.reject(new Overloaded());
    }
    const [since, deadline] = [performance.now(), currentDeadline()];
    const patientUntil = since + (deadline - since) * WAITING_SHARE;
    return new Promise((resolve, reject) => {
      this.waiting.push({ job, since, patientUntil, deadline, resolve, reject });
      this.count(job, 1);
      this.refuseInTime();
      this.schedule();
    });
  }

  /** A batch may take long, and those who wait for it are not to learn only then that they have waited too long. */
  private refuseInTime(): void {
    const [oldest] = this.waiting;
    if (oldest && !this.refusing) {
      const refuse = (): void => {
        this.refusing = undefined;
        const late = new Set(this.waiting.filter((one) => !this.isWorthDoing(one)));
        late.forEach(({ job }) => this.count(job, -1));
        this.waiting = this.waiting.filter((one) => !late.has(one));
        this.refuseInTime();
      };
      this.refusing = setTimeout(refuse, Math.max(1, oldest.patientUntil - performance.now())).unref();
    }
  }

  private isFull({ lanes }: J): boolean {
    return (
      this.waiting.length >= this.laneLimit * TOTAL_LANES_FULL ||
      lanes.some((lane) => (this.waitingIn.get(lane) ?? 0) >= this.laneLimit)
    );
  }

  private count({ lanes }: J, change: 1 | -1): void {
    for (const lane of lanes) {
      const waiting = (this.waitingIn.get(lane) ?? 0) + change;
      if (waiting === 0) {
        this.waitingIn.delete(lane);
      } else {
        this.waitingIn.set(lane, waiting);
      }
    }
  }

  /** Not at once, but when the event loop comes round: whatever arrived together goes together. */
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

  /** The oldest that may go now. Who must wait keeps its lanes for itself, so that nobody overtakes it there. */
  private takeBatch(): Waiting<J, Result>[] {
    const batch: Waiting<J, Result>[] = [];
    const rest: Waiting<J, Result>[] = [];
    const kept = new Set(this.busy);
    const alone = new Set<string>();
    let size = 0;
    for (const waiting of this.waiting) {
      const { lanes, alone: name } = waiting.job;
      if (name !== undefined && alone.has(name)) {
        rest.push(waiting);
        continue;
      }
      if (batch.length === MAX_BATCH || size >= MAX_LANES || lanes.some((lane) => kept.has(lane))) {
        lanes.forEach((lane) => kept.add(lane));
        rest.push(waiting);
        continue;
      }
      this.count(waiting.job, -1);
      if (this.isWorthDoing(waiting)) {
        batch.push(waiting);
        size += lanes.length;
        alone.add(name ?? '');
      }
    }
    this.waiting = rest;
    return batch;
  }

  private isWorthDoing({ job, patientUntil, reject }: Waiting<J, Result>): boolean {
    const isLate = performance.now() > patientUntil;
    if (isLate || job.isAbandoned()) {
      this.metrics.overloadRefusals.inc(Number(isLate));
      reject(new Overloaded());
      return false;
    }
    return true;
  }

  private async run(batch: readonly Waiting<J, Result>[]): Promise<void> {
    const startedAt = performance.now();
    const lanes = new Set(batch.flatMap(({ job }) => job.lanes));
    this.underWay += 1;
    lanes.forEach((lane) => this.busy.add(lane));
    this.metrics.batchSize.observe(batch.length);
    batch.forEach(({ since }) => this.metrics.queueWait.observe((startedAt - since) / 1000));
    // The deadline of the most urgent of them: what one may not wait for any longer, the others can ask for again.
    const deadline = Math.min(...batch.map((waiting) => waiting.deadline));
    await until(deadline, () => this.settle(batch, { isPatient: true }));
    this.metrics.batchDuration.observe((performance.now() - startedAt) / 1000);
    lanes.forEach((lane) => this.busy.delete(lane));
    this.underWay -= 1;
    this.start();
  }

  /** Never throws. What fails as a whole is tried again in halves, down to whom it was for, as long as they may wait. */
  private async settle(batch: readonly Waiting<J, Result>[], mode: BatchMode): Promise<void> {
    const jobs = batch.map(({ job }) => job);
    try {
      answer(batch, await this.work(jobs, mode).catch((error: unknown) => this.onceMore(jobs, mode, error)));
    } catch (error) {
      if (batch.length === 1 || FOR_ALL.some((kind) => error instanceof kind)) {
        answer(
          batch,
          batch.map(() => ({ error })),
        );
        if (error instanceof CannotConnect) {
          this.refuseAll(error);
        }
        return;
      }
      log.warn({ err: error, requests: batch.length }, 'a batch failed; trying it again in halves');
      const isPatient = mode.isPatient && !(error instanceof Overloaded);
      const middle = batch.length >> 1;
      for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
        const rest = half.filter((waiting) => this.isWorthDoing(waiting));
        if (rest.length > 0) {
          await this.settle(rest, { isPatient });
        }
      }
    }
  }

  /** If it was only one connection that broke, there are others. */
  private onceMore(jobs: J[], mode: BatchMode, error: unknown): Promise<Verdict<Result>[]> {
    if (error instanceof DatabaseUnavailable && !(error instanceof CannotConnect)) {
      return this.work(jobs, mode);
    }
    throw error;
  }

  /** Their batches would only find out the same, one after the other. */
  private refuseAll(error: CannotConnect): void {
    this.waiting.forEach(({ reject }) => reject(error));
    this.waiting = [];
    this.waitingIn.clear();
  }
}

/**
 * A few each time the event loop comes round: to write all these answers at once would keep the database waiting, which
 * has its next batch by now.
 */
function answer<J, Result>(batch: readonly Waiting<J, Result>[], verdicts: readonly Verdict<Result>[], from = 0): void {
  setImmediate(() => {
    const to = Math.min(from + ANSWERS_AT_ONCE, batch.length);
    for (let index = from; index < to; index += 1) {
      const { resolve, reject } = batch[index]!;
      const verdict = verdicts[index]!;
      if ('error' in verdict) {
        reject(verdict.error);
      } else {
        resolve(verdict.result);
      }
    }
    if (to < batch.length) {
      answer(batch, verdicts, to);
    }
  });
}
