import { setTimeout as sleep } from 'node:timers/promises';
import { log } from '../logging/logger';

const LONGEST_PAUSE_MS = 5_000;

/** One run of a job. @returns whether it has more to do already */
type Work = (stopping: AbortSignal) => Promise<boolean>;

/**
 * Work that a process repeats, one run at a time, with a pause in between. After failures the pauses grow, and only the
 * first of several failures in a row is logged. Does not keep the process alive.
 */
export class RepeatedJob {
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  private failures = 0;

  constructor(
    private readonly name: string,
    private readonly pauseMs: number,
    private readonly work: Work,
  ) {}

  start(): void {
    this.running ??= this.run();
  }

  /** Waits for the current run, and starts no other. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const hasMore = await this.attempt();
      if (!hasMore) {
        const pauseMs = Math.min(this.pauseMs * 2 ** this.failures, Math.max(LONGEST_PAUSE_MS, this.pauseMs));
        await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
  }

  private async attempt(): Promise<boolean> {
    try {
      const hasMore = await this.work(this.stopping.signal);
      if (this.failures > 0) {
        log.info({ job: this.name }, 'the job runs again');
      }
      this.failures = 0;
      return hasMore;
    } catch (error) {
      if (this.failures === 0) {
        log.error({ err: error, job: this.name }, 'the job failed; it is tried again');
      }
      this.failures += 1;
      return false;
    }
  }
}
