import { Injectable } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import { RequestContext } from '../context/request-context';
import { isLockTimeout } from '../database/database-errors';
import { together } from '../database/together';
import { IMPATIENTLY, StaleRead, TransactionRunner } from '../database/transaction-runner';
import type { Tx } from '../database/tx';
import { DatabaseUnavailable, IdempotencyInProgress, OutcomeUnknown, Overloaded } from '../errors/domain-errors';
import type { BatchMode, Verdict } from '../group-commit/group-commit';
import type { Answer } from '../http/answer';
import {
  asStored,
  IdempotencyKeys,
  type KeyedRequest,
  keysOf,
  type MaybeKeyed,
  replayed,
  RETENTION,
  type StoredAnswer,
} from './idempotency-keys';
import type { IdempotentRequest } from './idempotent-request';

const PURGE_BATCH = 1000;

/** After a lost COMMIT: what says nothing about it. */
const STILL_UNKNOWN = [OutcomeUnknown, DatabaseUnavailable, Overloaded, IdempotencyInProgress];

/** `statement_timestamp()`, because an index cannot serve a condition with the clock itself. */
const PURGE = `
  DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at < statement_timestamp() - ${RETENTION}
    LIMIT ${PURGE_BATCH} FOR UPDATE SKIP LOCKED))`;

type AnswerVerdict = Verdict<Answer<object>>;
type BatchedWork<Request> = (tx: Tx, fresh: Request[]) => Promise<Map<Request, AnswerVerdict>>;

@Injectable()
export class IdempotencyService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly keys: IdempotencyKeys,
  ) {}

  /** What makes a request's key its own; undefined if it has none. */
  keyed(request: IdempotentRequest): KeyedRequest | undefined {
    return this.keys.keyed(request);
  }

  /**
   * Runs `work` in a transaction, once for each key: the key is its first statement and the answer its last, so both
   * stand or fall with the work. A repeated request gets the first answer. What fails leaves no key behind. If the
   * connection is lost during COMMIT, the key tells what became of it.
   * @throws IdempotencyInProgress, IdempotencyKeyReused, and what `TransactionRunner.run` and `work` throw
   */
  async run<T extends object>(request: IdempotentRequest, work: (tx: Tx) => Promise<Answer<T>>): Promise<Answer<T>> {
    const keyed = this.keys.keyed(request);
    if (!keyed) {
      return this.transactions.run(work);
    }
    const attempt = (): Promise<Answer<T>> => this.transactions.run((tx) => this.onceTx(tx, keyed, work));
    return attempt().catch((lost: unknown) => settled(lost, attempt));
  }

  /**
   * As `run`, for many requests in one transaction. `work` is given those that are to be carried out and says what became
   * of each; a failure of one undoes nothing of the others. Where several of them have one key, it carries out only the
   * first that can be (`firstOfEachKey`) and leaves out those after it, which are answered as repeats of that one. If the
   * connection is lost during COMMIT, their keys tell; of those without one nobody can say what became of them.
   */
  async runAll<Request extends MaybeKeyed>(
    requests: readonly Request[],
    work: BatchedWork<Request>,
    mode: BatchMode,
  ): Promise<AnswerVerdict[]> {
    return this.attemptAll(requests, work, mode).catch(async (lost: unknown) => {
      const keyed = requests.filter((request) => request.keyed);
      // It has to wait for their keys: whoever holds them may still be committing.
      const verdicts = await settled(lost, () => this.attemptAll(keyed, work, { isPatient: true }));
      const verdictOf = new Map(keyed.map((request, index) => [request, verdicts[index]!]));
      return requests.map((request) => verdictOf.get(request) ?? { error: lost });
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

  private async onceTx<T extends object>(
    tx: Tx,
    keyed: KeyedRequest,
    work: (tx: Tx) => Promise<Answer<T>>,
  ): Promise<Answer<T>> {
    const claimed = await this.keys.claimTx(tx, [keyed]).catch(orInProgress);
    if (claimed.size === 0) {
      const verdict = replayedOrStale(keyed, await this.keys.recall(tx, [keyed]));
      if ('error' in verdict) {
        throw verdict.error;
      }
      return verdict.result as Answer<T>;
    }
    const answer = await work(tx);
    await this.keys.storeTx(tx, [[keyed, answer]]);
    return answer;
  }

  private async attemptAll<Request extends MaybeKeyed>(
    requests: readonly Request[],
    work: BatchedWork<Request>,
    { isPatient }: BatchMode,
  ): Promise<AnswerVerdict[]> {
    const keys = keysOf(requests);
    return this.transactions.run(async (tx) => {
      const patience = isPatient ? undefined : tx.query(IMPATIENTLY);
      const claim = this.keys.claimTx(tx, keys);
      const [, claimed] = await together([patience, requests.length === 1 ? claim.catch(orInProgress) : claim]);
      const isClaimed = ({ identity }: KeyedRequest): boolean => claimed.has(identity);
      const answered = await this.keys.recall(
        tx,
        keys.filter((one) => !isClaimed(one)),
      );
      const done = await work(
        tx,
        requests.filter((request) => !request.keyed || isClaimed(request.keyed)),
      );
      const answers = new Map<Request, Answer<object>>();
      done.forEach((verdict, request) => 'result' in verdict && answers.set(request, verdict.result));
      this.keys.settle(
        tx,
        answers,
        [...done.keys()].filter((request) => !answers.has(request)),
      );
      answers.forEach((answer, { keyed }) => keyed && answered.set(keyed.identity, asStored(keyed, answer)));
      return requests.map((request) => done.get(request) ?? replayedOrStale(request.keyed!, answered));
    });
  }
}

function replayedOrStale(request: KeyedRequest, answered: ReadonlyMap<string, StoredAnswer>): AnswerVerdict {
  const first = answered.get(request.identity);
  if (!first) {
    throw new StaleRead();
  }
  return replayed(request, first);
}

/**
 * Does again what lost its COMMIT, under the same keys: either they have the first answer, or nothing was done. Throws
 * what was lost if it was something else, or if it does not become known this time either.
 */
async function settled<T>(lost: unknown, again: () => Promise<T>): Promise<T> {
  if (!(lost instanceof OutcomeUnknown)) {
    throw lost;
  }
  return again().catch((error: unknown) => {
    throw STILL_UNKNOWN.some((kind) => error instanceof kind) ? lost : error;
  });
}

/** For `.catch()` of a claim: the first request with the key has not ended in the time that a lock is waited for. */
export function orInProgress(error: unknown): never {
  throw isLockTimeout(error) ? new IdempotencyInProgress() : error;
}
