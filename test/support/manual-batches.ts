import { AsyncLocalStorage } from 'node:async_hooks';
import { currentDeadline } from '../../src/platform/database/deadline';
import { BatchQueue, type Job } from '../../src/platform/batching/batch-queue';
import type { Outcome } from '../../src/platform/batching/in-parts';
import type { LockWait } from '../../src/platform/database/rows.locks';
import { Metrics } from '../../src/platform/metrics/metrics';

interface Named extends Job {
  readonly name: string;
}

/** A batch that the work was given, and which ends when the test says so. */
export interface Batch {
  readonly names: string[];
  readonly lockWait: LockWait;
  readonly context: string | undefined;
  readonly deadline: number;
  /** Gives each job its own name as its result, but for those with an outcome of their own. */
  finish(outcomes?: Record<string, Outcome<string>>): void;
  fail(error: unknown): void;
}

const LIMIT_FOR_KEY = 1000;

/** Stands for the context of a request. */
export const contexts = new AsyncLocalStorage<string>();

/** Everything that was begun is done by then, and what was scheduled meanwhile has been started. */
export async function calm(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}

/** A batch queue whose batches are finished by hand: `batches` lists what it began. */
export class ManualBatches {
  readonly metrics = new Metrics();
  readonly batches: Batch[] = [];
  readonly queue: BatchQueue<Named, string>;

  constructor(limitForKey = LIMIT_FOR_KEY) {
    this.queue = new BatchQueue((jobs, lockWait) => this.work(jobs, lockWait), limitForKey, this.metrics);
  }

  /** One job for each name: `a1` has the ordering key a, `ab1` the keys a and b. */
  submit(...names: string[]): Promise<string>[] {
    return names.map((name) => this.submitJob(name));
  }

  submitJob(name: string, isAbandoned = (): boolean => false): Promise<string> {
    const orderingKeys = name.replace(/\d/g, '').split('');
    const submitted = this.queue.submit({ name, orderingKeys, isAbandoned });
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

  private work(jobs: readonly Named[], lockWait: LockWait): Promise<Outcome<string>[]> {
    return new Promise((resolve, reject) => {
      const names = jobs.map(({ name }) => name);
      const finish: Batch['finish'] = (own = {}) => resolve(names.map((name) => own[name] ?? { answer: name }));
      this.batches.push({
        names,
        lockWait,
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
