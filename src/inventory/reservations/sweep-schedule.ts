import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Cron } from '@nestjs/schedule';
import pLimit from 'p-limit';
import { AppConfig, cleanupCron } from '../../platform/config/app-config';
import { log } from '../../platform/logging/logger';
import { ReservationSweep } from './reservation-sweep';

/** Between two sweeps: no more than ten a second. */
const SHORTEST_PAUSE_MS = 100;
/** Between two looks for the next end: a hold lasts for a second at least, so each is seen before it ends. */
const LONGEST_PAUSE_MS = 1000;

/**
 * When the sweep runs: as soon as a hold ends, whoever made it, and on schedule, for what was left then. One run at a time
 * in this process. To find out when the next hold ends it asks the database, whose clock decides, and writes nothing.
 */
@Injectable()
export class SweepSchedule implements OnModuleDestroy {
  private readonly stopping = new AbortController();
  private readonly inTurn = pLimit(1);
  private timer?: NodeJS.Timeout;
  /** Tries in a row that failed, or found holds of which they could expire none: others have them locked. */
  private misses = 0;
  private isFailing = false;

  constructor(
    private readonly config: AppConfig,
    private readonly reservations: ReservationSweep,
  ) {}

  @Cron(cleanupCron(), { name: 'sweep', waitForCompletion: true })
  async sweepOnSchedule(): Promise<void> {
    await this.attempt(() => this.reservations.sweep(this.stopping.signal));
  }

  /** From now on sweeps when holds end, unless the settings want the schedule alone. Keeps no process alive. */
  start(): void {
    if (this.config.sweepsWhenHoldsEnd) {
      this.lookIn(0);
    }
  }

  /** What is under way ends, after its batch at the latest; nothing begins any more. */
  async onModuleDestroy(): Promise<void> {
    this.stopping.abort();
    clearTimeout(this.timer);
    await this.inTurn(() => undefined);
  }

  private lookIn(milliseconds: number): void {
    this.timer = setTimeout(() => void this.look(), milliseconds).unref();
  }

  private async look(): Promise<void> {
    const timeLeft = await this.attempt(() => this.sweepIfDue());
    if (!this.stopping.signal.aborted) {
      this.lookIn(timeLeft ?? Math.min(SHORTEST_PAUSE_MS * 2 ** this.misses, LONGEST_PAUSE_MS));
    }
  }

  /** In how many milliseconds the next hold ends; undefined if it swept instead, because one had ended. */
  private async sweepIfDue(): Promise<number | undefined> {
    const timeLeft = await this.reservations.timeToNextEnd(LONGEST_PAUSE_MS);
    if (timeLeft > 0) {
      this.misses = 0;
      // A timer may be a millisecond early.
      return Math.ceil(timeLeft) + 1;
    }
    const expired = await this.reservations.sweepAgain(this.stopping.signal);
    this.misses = expired > 0 ? 0 : this.misses + 1;
    return undefined;
  }

  /** Gives nothing if it fails: it is tried again, and while it goes on failing, the log has that once. */
  private attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    return this.inTurn(async () => {
      try {
        const result = await work();
        if (this.isFailing) {
          log.info('the sweep runs again');
        }
        this.isFailing = false;
        return result;
      } catch (error) {
        if (!this.isFailing) {
          log.error({ err: error }, 'the sweep failed; it is tried again');
        }
        this.isFailing = true;
        this.misses += 1;
        return undefined;
      }
    });
  }
}
