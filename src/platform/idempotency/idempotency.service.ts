import { Injectable } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import type { EntityManager } from 'typeorm';
import { LookAgain, type Outcome } from '../batching/in-parts';
import { RequestContext } from '../context/request-context';
import { isLockTimeout } from '../database/database-errors';
import type { LockWait } from '../database/rows.locks';
import { together } from '../database/together';
import { TransactionRunner } from '../database/transaction-runner';
import type { Statement, UnitOfWork } from '../database/unit-of-work';
import { DatabaseUnavailable, IdempotencyInProgress, OutcomeUnknown, Overloaded } from '../errors/domain-errors';
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

/** Errors after which it is still not known whether a lost COMMIT took effect. */
const STILL_UNKNOWN = [OutcomeUnknown, DatabaseUnavailable, Overloaded, IdempotencyInProgress];

/** For a transaction that skips locked rows: it should not wait for locks that it cannot skip either. */
const SHORT_LOCK_TIMEOUT = `SET LOCAL lock_timeout = '100ms'`;

/** `statement_timestamp()`, because an index cannot serve a condition with `clock_timestamp()`. */
const PURGE = `
  DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at < statement_timestamp() - ${RETENTION}
    LIMIT ${PURGE_BATCH} FOR UPDATE SKIP LOCKED))`;

type AnswerOutcome = Outcome<Answer<object>>;

/** The work of one transaction for many requests. */
interface SharedWork<Request, Session> {
  /** Takes all locks before anything is decided. Sent in one round trip with the claim of the keys. */
  begin(unit: UnitOfWork, lockWait: LockWait): Promise<Session>;
  /** Handles one request. If it throws, the whole transaction fails. */
  carryOut(session: Session, request: Request): AnswerOutcome | Promise<AnswerOutcome>;
  /** Queues the writes. @throws LookAgain, for all requests, if rows have changed since they were read */
  end(unit: UnitOfWork, session: Session, outcomes: readonly AnswerOutcome[]): Promise<void>;
}

/** A transaction whose COMMIT may have taken effect. */
interface Lost {
  readonly unit: UnitOfWork;
  readonly outcomes: AnswerOutcome[];
}

interface Attempt<Request, Session> {
  readonly requests: readonly Request[];
  readonly lockWait: LockWait;
  readonly work: SharedWork<Request, Session>;
  readonly lost?: Lost;
}

@Injectable()
export class IdempotencyService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly keys: IdempotencyKeys,
  ) {}

  /** The request's key with its scope and fingerprint; undefined if it has none. */
  keyed(request: IdempotentRequest): KeyedRequest | undefined {
    return this.keys.keyed(request);
  }

  /** The committed answers of earlier requests with the same keys, by identity. The statement is sent at once. */
  recall(manager: EntityManager, requests: readonly MaybeKeyed[]): Promise<Map<string, StoredAnswer>> {
    return this.keys.recall(manager, keysOf(requests));
  }

  /**
   * Runs `work` in a transaction, once for each key: the key is its first statement and the answer its last, so both
   * are committed or rolled back with the work. A repeated request gets the first answer. A failure leaves no key
   * behind. If the connection is lost during COMMIT, the key shows whether it took effect.
   * @throws IdempotencyInProgress, IdempotencyKeyReused, and what `TransactionRunner.run` and `work` throw
   */
  async run<T extends object>(
    request: IdempotentRequest,
    work: (unit: UnitOfWork) => Promise<Answer<T>>,
  ): Promise<Answer<T>> {
    const keyed = this.keys.keyed(request);
    if (!keyed) {
      return this.transactions.run(work);
    }
    const [outcome] = await this.runAll<MaybeKeyed, UnitOfWork>([{ keyed }], 'wait', {
      begin: async (unit) => unit,
      carryOut: async (unit) => ({ answer: await work(unit) }),
      end: async () => undefined,
    });
    if ('error' in outcome!) {
      throw outcome.error instanceof LookAgain ? outcome.error.otherwise : outcome.error;
    }
    return outcome!.answer as Answer<T>;
  }

  /**
   * Like `run`, for many requests in one transaction. Of requests with equal keys, the first that succeeds keeps the
   * key. If the connection is lost during COMMIT, the work is run once more: when it has its locks, the first
   * transaction has ended, and its proof shows whether it was committed.
   */
  async runAll<Request extends MaybeKeyed, Session>(
    requests: readonly Request[],
    lockWait: LockWait,
    work: SharedWork<Request, Session>,
  ): Promise<AnswerOutcome[]> {
    let lost: Lost | undefined;
    try {
      return await this.transactions.run(async (unit) => {
        lost = undefined;
        const outcomes = await this.attempt(unit, { requests, lockWait, work });
        lost = { unit, outcomes };
        return outcomes;
      });
    } catch (error) {
      if (!(error instanceof OutcomeUnknown) || !lost) {
        throw error;
      }
      const first = lost;
      return this.transactions
        .run((unit) => this.attempt(unit, { requests, lockWait: 'wait', work, lost: first }))
        .catch((again: unknown) => {
          throw STILL_UNKNOWN.some((kind) => again instanceof kind) ? error : again;
        });
    }
  }

  /** Deletes keys older than 24 hours in batches; every process does so, and none waits for another. */
  @Cron(CronExpression.EVERY_10_MINUTES, { waitForCompletion: true })
  async purge(): Promise<void> {
    await this.context.runAsSystem('idempotency-purge', async () => {
      let dropped: number;
      do {
        dropped = await this.transactions.run(async ({ tx }) => (await tx.query<[unknown[], number]>(PURGE))[1]);
      } while (dropped === PURGE_BATCH);
    });
  }

  private async attempt<Request extends MaybeKeyed, Session>(
    unit: UnitOfWork,
    { requests, lockWait, work, lost }: Attempt<Request, Session>,
  ): Promise<AnswerOutcome[]> {
    const keyed = keysOf(requests);
    const { claimed, session } = await this.begin(unit, keyed, { requests, lockWait, work });
    if (lost?.unit.proof && (await hasCommitted(unit, lost.unit.proof))) {
      unit.afterCommit(() => lost.unit.committed());
      return lost.outcomes;
    }
    const answered = await this.keys.recall(
      unit.tx,
      keyed.filter(({ identity }) => !claimed.has(identity)),
    );
    const made = new Map<string, StoredAnswer>();
    const outcomes: AnswerOutcome[] = [];
    for (const request of requests) {
      const key = request.keyed;
      const repeat = key && repeated(key, { answered, made, claimed });
      const outcome = repeat ?? (await work.carryOut(session, request));
      outcomes.push(outcome);
      if (key && !repeat && 'answer' in outcome) {
        made.set(key.identity, asStored(key, outcome.answer));
      }
    }
    await work.end(unit, session, outcomes);
    const isMine = ({ identity }: KeyedRequest): boolean => claimed.has(identity);
    this.keys.storeAnswers(unit, keyed.filter(isMine), made);
    return outcomes;
  }

  /** Claims the keys, then takes all locks, in one round trip. A lone request fails with 409 if its key is in use. */
  private async begin<Request extends MaybeKeyed, Session>(
    unit: UnitOfWork,
    keyed: readonly KeyedRequest[],
    { requests, lockWait, work }: Attempt<Request, Session>,
  ): Promise<{ claimed: Set<string>; session: Session }> {
    const timeout = lockWait === 'skip' ? unit.tx.query(SHORT_LOCK_TIMEOUT) : undefined;
    const claim = this.keys.claim(unit.tx, keyed);
    const [, claimed, session] = await together([
      timeout,
      requests.length === 1 ? claim.catch(orInProgress) : claim,
      work.begin(unit, lockWait),
    ]);
    return { claimed, session };
  }
}

interface Answered {
  /** By earlier transactions. */
  readonly answered: ReadonlyMap<string, StoredAnswer>;
  /** By this one. */
  readonly made: ReadonlyMap<string, StoredAnswer>;
  readonly claimed: ReadonlySet<string>;
}

/** The answer to a request whose key was used before; undefined if the request must run. */
function repeated(key: KeyedRequest, { answered, made, claimed }: Answered): AnswerOutcome | undefined {
  const first = answered.get(key.identity) ?? made.get(key.identity);
  if (first) {
    return replayed(key, first);
  }
  // We waited for the first request with the key, and it failed without an answer.
  return claimed.has(key.identity) ? undefined : { error: new LookAgain(new IdempotencyInProgress()) };
}

async function hasCommitted({ tx }: UnitOfWork, { sql, values }: Statement): Promise<boolean> {
  return (await tx.query<unknown[]>(sql, values)).length > 0;
}

/** For `.catch()` of a claim: the first request with the key did not end within the lock timeout. */
function orInProgress(error: unknown): never {
  throw isLockTimeout(error) ? new IdempotencyInProgress() : error;
}
