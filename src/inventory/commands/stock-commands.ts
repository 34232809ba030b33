import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import type { Command } from '../../platform/batching/command';
import { type CommandQueue, CommandQueues, type Origin } from '../../platform/batching/command-queues';
import { type Cause, RequestContext } from '../../platform/context/request-context';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { DatabaseUnavailable, InsufficientStock, Overloaded } from '../../platform/errors/domain-errors';
import type { Answer } from '../../platform/http/answer';
import { log } from '../../platform/logging/logger';
import { Metrics } from '../../platform/metrics/metrics';
import { type Expired, expireReservation, findOverdue, type Overdue } from '../reservations/expire-reservations';
import type { Needs, Snapshot } from './snapshot';
import { StockModel } from './stock-model';

/** How long a request waits for locked overdue holds before it goes on without them. */
const LONGEST_WAIT_MS = 1500;
/** The interval of checks whether others have ended them. */
const POLL_MS = 20;

/** The actor that expires holds. */
const EXPIRY = 'system:reservation-expiry';

/** The only way to change orders, reservations and the stock that they hold. */
@Injectable()
export class StockCommands {
  private readonly queue: CommandQueue<Needs, Snapshot>;

  constructor(
    model: StockModel,
    queues: CommandQueues,
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly metrics: Metrics,
  ) {
    this.queue = queues.for(model, (productIds, requestId) => this.endOverdueOn(productIds, requestId));
  }

  /**
   * Runs a command, in one transaction with simultaneous requests, and once for its Idempotency-Key. A request whose
   * caller hangs up before its turn is dropped.
   * @throws Overloaded if too many wait already, and the errors of the command
   */
  async submit<Request, T extends object>(
    command: Command<Request, Needs, Snapshot>,
    request: Request,
    from: Origin,
  ): Promise<Answer<T>> {
    try {
      return (await this.queue.submit(command, request, { cause: this.context.cause, from })) as Answer<T>;
    } catch (error) {
      if (error instanceof InsufficientStock) {
        this.metrics.reservations.inc({ outcome: 'short' });
      }
      throw error;
    }
  }

  /**
   * Ends the overdue holds on these products, or waits until others have ended them. Returns false if there are none,
   * or if there is no progress for one and a half seconds.
   * @param requestId the request that needs it, if that is not the context's
   */
  async endOverdueOn(productIds: readonly string[], requestId = this.context.requestId): Promise<boolean> {
    const cause = { actor: EXPIRY, requestId };
    for (let found = 0, lastProgress = performance.now(); ;) {
      const overdue = await this.transactions.read((manager) => findOverdue(manager, productIds));
      found += overdue.length;
      if (overdue.length === 0 || performance.now() > lastProgress + LONGEST_WAIT_MS) {
        return found > 0 && overdue.length === 0;
      }
      if ((await this.expire(overdue, cause, 'skip')).expired > 0) {
        lastProgress = performance.now();
      } else {
        await sleep(POLL_MS);
      }
    }
  }

  /**
   * Ends holds if they are overdue. Skips holds that another transaction has locked. Logs a hold that cannot be ended,
   * and ends the others.
   * @param lockWait whether to wait for the levels (`share`) or to skip locked ones too
   * @throws DatabaseUnavailable
   */
  async expire(
    overdue: readonly Pick<Overdue, 'id'>[],
    cause: Cause,
    lockWait: 'share' | 'skip',
  ): Promise<{ expired: number; failed: string[] }> {
    const outcomes = await this.queue.runNow(expireReservation, overdue, { cause, lockWait });
    let expired = 0;
    const failed: string[] = [];
    outcomes.forEach((outcome, index) => {
      if ('answer' in outcome) {
        expired += Number((outcome.answer as Answer<Expired>).data.isExpired);
      } else if (outcome.error instanceof DatabaseUnavailable) {
        throw outcome.error;
      } else if (!(outcome.error instanceof Overloaded)) {
        const { id: reservation } = overdue[index]!;
        log.error({ err: outcome.error, reservation }, 'could not expire an overdue reservation');
        failed.push(reservation);
      }
    });
    return { expired, failed };
  }
}
