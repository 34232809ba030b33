import { Injectable } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import { RequestContext } from '../context/request-context';
import { isLockTimeout } from '../database/database-errors';
import { StaleRead, TransactionRunner } from '../database/transaction-runner';
import type { Tx } from '../database/tx';
import { IdempotencyInProgress } from '../errors/domain-errors';
import type { Answer } from '../http/answer';
import { IdempotencyKeys, replay, RETENTION } from './idempotency-keys';
import type { IdempotentRequest } from './idempotent-request';

const PURGE_BATCH = 1000;

/** `statement_timestamp()`, because an index cannot serve a condition with the clock itself. */
const PURGE = `
  DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at < statement_timestamp() - ${RETENTION}
    LIMIT ${PURGE_BATCH} FOR UPDATE SKIP LOCKED))`;

@Injectable()
export class IdempotencyService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly keys: IdempotencyKeys,
  ) {}

  /**
   * Runs `work` in a transaction, once for each key: the key is its first statement and the answer its last, so both
   * stand or fall with the work. A repeated request gets the first answer. What fails leaves no key behind.
   * @throws IdempotencyInProgress, IdempotencyKeyReused, and what `TransactionRunner.run` and `work` throw
   */
  async run<T extends object>(request: IdempotentRequest, work: (tx: Tx) => Promise<Answer<T>>): Promise<Answer<T>> {
    const keyed = this.keys.keyed(request);
    if (!keyed) {
      return this.transactions.run(work);
    }
    return this.transactions.run(async (tx) => {
      const claimed = await this.keys.claimTx(tx, [keyed]).catch(orInProgress);
      if (claimed.size === 0) {
        const first = (await this.keys.recall(tx, [keyed])).get(keyed.identity);
        if (!first) {
          throw new StaleRead();
        }
        return replay<T>(keyed, first);
      }
      const answer = await work(tx);
      await this.keys.storeTx(tx, [[keyed, answer]]);
      return answer;
    });
  }

  /** Drops keys older than 24 hours, some at a time; every process does, and none waits for another. */
  @Cron(CronExpression.EVERY_10_MINUTES, { waitForCompletion: true })
  async purge(): Promise<void> {
    await this.context.runAsSystem('idempotency-purge', async () => {
      let dropped: number;
      do {
        dropped = await this.transactions.run(async (tx) => (await tx.query<[unknown[], number]>(PURGE))[1]);
      } while (dropped === PURGE_BATCH);
    });
  }
}

/** For `.catch()` of a claim: the first request with the key has not ended in the time that a lock is waited for. */
export function orInProgress(error: unknown): never {
  throw isLockTimeout(error) ? new IdempotencyInProgress() : error;
}
