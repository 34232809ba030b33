import { Injectable } from '@nestjs/common';
import { RequestContext } from '../../platform/context/request-context';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { log } from '../../platform/logging/logger';
import { Metrics } from '../../platform/metrics/metrics';
import { StockCommands } from '../commands/stock-commands';
import { findOverdue, findTimeLeft, type Overdue } from './expire-reservations';

const JOB = 'reservation-expiry';

/** Ends overdue holds. Housekeeping: their pieces already count as available. */
@Injectable()
export class ReservationSweep {
  /** Holds that could not be expired: `sweepAgain` skips them, the next `sweep` tries again. */
  private readonly stuck = new Set<string>();

  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly commands: StockCommands,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Expires every overdue reservation and returns how many. Skips reservations that another process has locked, so any
   * number of processes share the work, and each hold ends once. When `signal` is aborted, stops after the current
   * page.
   */
  sweep(signal?: AbortSignal): Promise<number> {
    this.stuck.clear();
    return this.sweepAgain(signal);
  }

  /** Like `sweep`, but skips holds that could not be expired since the last `sweep`. */
  async sweepAgain(signal?: AbortSignal): Promise<number> {
    const { expired, lag } = await this.context.runAsSystem(JOB, () => this.expireAll(signal));
    this.metrics.sweepSize.observe(expired);
    this.metrics.sweepLag.set(lag);
    if (expired > 0) {
      log.info({ expired, lag_seconds: lag }, 'expired overdue reservations');
    }
    return expired;
  }

  /**
   * Milliseconds until the next hold for `sweepAgain` ends, by the database's clock: zero or less if one is over,
   * `most` if none ends by then. One index look-up.
   */
  async timeToNextEnd(most: number): Promise<number> {
    return (await this.transactions.read((manager) => findTimeLeft(manager, most, [...this.stuck]))) ?? most;
  }

  private async expireAll(signal?: AbortSignal): Promise<{ expired: number; lag: number }> {
    let expired = 0;
    let lag = 0;
    // Page by page, so that locked rows at the front do not hide the ones after them.
    for (let last: Overdue | undefined; !signal?.aborted;) {
      const page = await this.transactions.read((manager) => findOverdue(manager, undefined, last));
      last = page.at(-1);
      if (!last) {
        break;
      }
      const overdue = page.filter(({ id }) => !this.stuck.has(id));
      lag = Math.max(lag, overdue[0]?.lag ?? 0);
      const done = await this.commands.expire(overdue, this.context.cause, 'share');
      expired += done.expired;
      done.failed.forEach((id) => this.stuck.add(id));
    }
    return { expired, lag };
  }
}
