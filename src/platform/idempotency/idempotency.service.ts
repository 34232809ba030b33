import { createHmac } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import stringify from 'safe-stable-stringify';
import { RequestContext } from '../context/request-context';
import { isLockTimeout } from '../database/database-errors';
import { TransactionRunner } from '../database/transaction-runner';
import type { Tx } from '../database/tx';
import { IdempotencyInProgress, IdempotencyKeyReused } from '../errors/domain-errors';
import { Answer } from '../http/answer';
import { Secrets } from '../security/secrets';
import { IdempotencyKey } from './idempotency-key.entity';
import type { IdempotentRequest } from './idempotent-request';

const RETENTION = "interval '24 hours'";
const PURGE_BATCH = 1000;

/**
 * Takes the key, or takes it over when its 24 hours are past. While another transaction holds it uncommitted this
 * waits; if that one rolls back the key is ours, if it commits there is no row and its answer can be read.
 */
const CLAIM = `
  INSERT INTO idempotency_keys AS held (caller, method, path, key, fingerprint) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (caller, method, path, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, status = NULL, body = NULL, location = NULL, created_at = clock_timestamp()
    WHERE held.created_at < clock_timestamp() - ${RETENTION}
  RETURNING 1`;

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
    private readonly secrets: Secrets,
  ) {}

  /**
   * Runs `work` in a transaction, once for each key: the key is its first statement and the answer its last, so both
   * stand or fall with the work. A repeated request gets the first answer. What fails leaves no key behind.
   * @throws IdempotencyInProgress, IdempotencyKeyReused, and what `TransactionRunner.run` and `work` throw
   */
  async run<T extends object>(request: IdempotentRequest, work: (tx: Tx) => Promise<Answer<T>>): Promise<Answer<T>> {
    const { key } = request;
    if (key === undefined) {
      return this.transactions.run(work);
    }
    return this.transactions.run(async (tx) => {
      const earlier = await this.claimTx(tx, request, key);
      if (earlier) {
        return earlier as Answer<T>;
      }
      const answer = await work(tx);
      await tx.update(IdempotencyKey, identityOf(request, key), {
        status: request.status,
        body: answer.data,
        location: answer.extras.location ?? null,
      });
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

  private async claimTx(tx: Tx, request: IdempotentRequest, key: string): Promise<Answer<unknown> | undefined> {
    const identity = identityOf(request, key);
    const fingerprint = this.fingerprintOf(request.body);
    const claimed = await tx
      .query<unknown[]>(CLAIM, [identity.caller, identity.method, identity.path, identity.key, fingerprint])
      .catch((error: unknown) => {
        throw isLockTimeout(error) ? new IdempotencyInProgress() : error;
      });
    if (claimed.length > 0) {
      return undefined;
    }
    const first = await tx.findOneByOrFail(IdempotencyKey, identity);
    if (first.fingerprint !== fingerprint) {
      throw new IdempotencyKeyReused();
    }
    const { version } = first.body as { version?: number };
    return new Answer(first.body, { location: first.location ?? undefined, version, isReplay: true });
  }

  /** Keyed, because a body may hold a password; canonical, because the order of its fields means nothing. */
  private fingerprintOf(body: unknown): string {
    return createHmac('sha256', this.secrets.fingerprintKey)
      .update(stringify(body) ?? '')
      .digest('base64url');
  }
}

function identityOf(
  { caller, method, path }: IdempotentRequest,
  key: string,
): Pick<IdempotencyKey, 'caller' | 'method' | 'path' | 'key'> {
  return { caller, method, path, key };
}
