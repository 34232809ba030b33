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

/** How long somebody may keep overdue holds from being ended before it is done without them. */
const LONGEST_WAIT_MS = 1500;
/** How often it is looked whether others have ended them. */
const POLL_MS = 20;

/** The actor of what ends holds whose time is over. */
const EXPIRY = 'system:reservation-expiry';

/** The one way by which orders, reservations and the stock that they hold are changed. */
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
   * Carries out a request, in one transaction with what others ask for at the same time, once for its Idempotency-Key. A
   * request whose caller has hung up before its turn is not carried out.
   * @throws Overloaded if too many wait already, and what the command throws
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
   * Ends the overdue holds on these products, or waits until others have; false if there are none, or if nothing has become
   * of those that are left for one and a half seconds.
   * @param requestId what it is done for, if that is not the context's request
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
   * Ends holds if they are overdue. One that somebody else works on is left to him; one that cannot be ended is logged and
   * keeps none of the others from it.
   * @param lockWait whether the levels are waited for (`share`) or skipped as well
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
