import { AsyncLocalStorage } from 'node:async_hooks';
import { currentDeadline } from '../../src/platform/database/deadline';
import { type BatchMode, GroupCommit, type Job, type Verdict } from '../../src/platform/group-commit/group-commit';
import { Metrics } from '../../src/platform/metrics/metrics';

interface Named extends Job {
  readonly name: string;
}

/** A batch that the work was given, and which ends when the test says so. */
export interface Batch {
  readonly names: string[];
  readonly mode: BatchMode;
  readonly context: string | undefined;
  readonly deadline: number;
  /** Gives each job its own name as its result, but for those with a verdict of their own. */
  finish(verdicts?: Record<string, Verdict<string>>): void;
  fail(error: unknown): void;
}

const LANE_LIMIT = 1000;

/** Stands for the context of a request. */
export const contexts = new AsyncLocalStorage<string>();

/** Everything that was begun is done by then, and what was scheduled meanwhile has been started. */
export async function calm(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}

/** A group commit whose work does nothing by itself: `batches` lists what it was given. */
export class Workshop {
  readonly metrics = new Metrics();
  readonly batches: Batch[] = [];
  readonly groupCommit: GroupCommit<Named, string>;

  constructor(laneLimit = LANE_LIMIT) {
    this.groupCommit = new GroupCommit((jobs, mode) => this.work(jobs, mode), laneLimit, this.metrics);
  }

  /** One job for each name: `a1` goes in lane a, `ab1` in the lanes a and b. */
  submit(...names: string[]): Promise<string>[] {
    return names.map((name) => this.submitJob(name));
  }

  submitJob(name: string, isAbandoned = (): boolean => false): Promise<string> {
    const lanes = name.replace(/\d/g, '').split('');
    const submitted = this.groupCommit.submit({ name, lanes, isAbandoned });
    // Each test looks for itself what became of it.
    submitted.catch(() => undefined);
    return submitted;
  }

  /** Lets a batch with these jobs begin, and gives it. */
  async begin(...names: string[]): Promise<Batch> {
    void this.submit(...names);
    await calm();
    const batch = this.batches.at(-1)!;
    expect(batch.names).toEqual(names);
    return batch;
  }

  /** The names of the jobs in each batch so far. */
  get given(): string[][] {
    return this.batches.map(({ names }) => names);
  }

  async refusals(): Promise<number> {
    return (await this.metrics.overloadRefusals.get()).values[0]!.value;
  }

  private work(jobs: readonly Named[], mode: BatchMode): Promise<Verdict<string>[]> {
    return new Promise((resolve, reject) => {
      const names = jobs.map(({ name }) => name);
      const finish: Batch['finish'] = (verdicts = {}) =>
        resolve(names.map((name) => verdicts[name] ?? { result: name }));
      this.batches.push({
        names,
        mode,
        context: contexts.getStore(),
        deadline: currentDeadline(),
        finish,
        fail: reject,
      });
    });
  }
}

/** `ok`, or how each of them failed. */
export async function outcomes(submitted: Promise<string>[]): Promise<unknown[]> {
  const settled = await Promise.allSettled(submitted);
  return settled.map((one) => (one.status === 'fulfilled' ? 'ok' : one.reason));
}
