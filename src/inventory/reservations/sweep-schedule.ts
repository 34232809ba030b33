import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Cron } from '@nestjs/schedule';
import pLimit from 'p-limit';
import { AppConfig, cleanupCron } from '../../platform/config/app-config';
import { log } from '../../platform/logging/logger';
import { ReservationSweep } from './reservation-sweep';

/** The shortest pause between two sweeps: at most ten a second. */
const SHORTEST_PAUSE_MS = 100;
/** The longest pause between two checks: a hold lasts at least a second, so each is seen before it ends. */
const LONGEST_PAUSE_MS = 1000;

/**
 * Runs the sweep as soon as a hold ends, whichever process made it, and on schedule for any that are left. One run at a
 * time in this process. It asks the database, whose clock decides, when the next hold ends; that writes nothing.
 */
@Injectable()
export class SweepSchedule implements OnModuleDestroy {
  private readonly stopping = new AbortController();
  private readonly inTurn = pLimit(1);
  private timer?: NodeJS.Timeout;
  /** Runs in a row that failed, or expired none of the holds that they found, because others had locked them. */
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

  /** Starts sweeping when holds end, unless only the schedule is configured. Does not keep the process alive. */
  start(): void {
    if (this.config.sweepsWhenHoldsEnd) {
      this.lookIn(0);
    }
  }

  /** Waits for the current run, which stops after its batch; no new one begins. */
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

  /** Milliseconds until the next hold ends; undefined if one had ended, so that it swept instead. */
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

  /** Resolves with undefined on failure, and logs only the first of several failures in a row. */
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
