import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { type DataSource, type EntityManager, type QueryRunner } from 'typeorm';
import { DatabaseIsStandby, DatabaseUnavailable, OutcomeUnknown, Overloaded } from '../errors/domain-errors';
import { Metrics } from '../metrics/metrics';
import { Connections } from './connections';
import { databaseFailureOf } from './database-errors';
import { currentDeadline, isInTransaction, untilInTransaction } from './deadline';
import { together } from './together';
import type { Tx } from './tx';

const MAX_TRIES = 3;
const LONGEST_PAUSE_MS = 50;

/** For a transaction that is not to wait for locks, because the first try has done that already. */
export const IMPATIENTLY = `SET LOCAL lock_timeout = '100ms'`;

/** Work found under its locks that what it had read before them is no longer so: it must start again. */
export class StaleRead extends Error {}

const afterCommits = new WeakMap<EntityManager, (() => void)[]>();

/** Something outside the database that is to happen if this transaction commits, and only then: counting, mostly. */
export function afterCommit(tx: Tx, effect: () => void): void {
  const effects = afterCommits.get(tx);
  if (effects) {
    effects.push(effect);
  } else {
    afterCommits.set(tx, [effect]);
  }
}

/** What a transaction has sent without waiting for it, and the first of it that failed. */
interface Unawaited {
  readonly all: Promise<unknown>[];
  failed?: { readonly error: unknown };
}

const unawaitedOf = new WeakMap<EntityManager, Unawaited>();

/**
 * Statements that have been sent, and whose results nothing in this transaction needs: if nothing else is waited for, COMMIT
 * follows them in the same round trip. If one of them fails, the transaction does, with its error.
 */
export function commitWith(tx: Tx, statements: readonly Promise<unknown>[]): void {
  const unawaited: Unawaited = unawaitedOf.get(tx) ?? { all: [] };
  unawaitedOf.set(tx, unawaited);
  for (const statement of statements) {
    unawaited.all.push(statement);
    statement.catch((error: unknown) => (unawaited.failed ??= { error }));
  }
}

/** The only place where a transaction is opened that writes. */
@Injectable()
export class TransactionRunner {
  readonly connections: Connections;

  constructor(
    @InjectDataSource() dataSource: DataSource,
    private readonly metrics: Metrics,
  ) {
    this.connections = new Connections(dataSource);
  }

  /**
   * Runs `work` in one transaction: commits what it returns, rolls back what it throws. After a deadlock, a
   * serialization failure or a `StaleRead` the whole work runs again in a new transaction, three times in all,
   * so it must have no effect outside the database. At the deadline of the request its connection is cut.
   * @throws Overloaded if a lock, a statement or the pool timed out, DatabaseUnavailable if the connection is lost,
   *   OutcomeUnknown if it is lost during COMMIT
   */
  async run<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    if (isInTransaction()) {
      throw new Error('A transaction is open already: pass its tx on');
    }
    const deadline = currentDeadline();
    return untilInTransaction(deadline, () => this.runWithRetries(work, deadline));
  }

  /**
   * As `run`. If the connection is lost during COMMIT, `settle` runs in another transaction: it is given what may have been
   * committed, and returns that or does it again. It has to wait for the locks, whose holder may still be committing.
   * @throws OutcomeUnknown if that fails
   */
  async runAndSettle<T>(work: (tx: Tx) => Promise<T>, settle: (tx: Tx, unsure: T) => Promise<T>): Promise<T> {
    let unsure: { readonly result: T } | undefined;
    try {
      return await this.run(async (tx) => {
        const result = await work(tx);
        unsure = { result };
        return result;
      });
    } catch (error) {
      if (!(error instanceof OutcomeUnknown)) {
        throw error;
      }
      return this.run((tx) => settle(tx, unsure!.result)).catch(() => {
        throw error;
      });
    }
  }

  /**
   * Runs `work` on one connection without a transaction, for reads that need no common snapshot.
   * @throws Overloaded, DatabaseUnavailable as `run` does
   */
  async read<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    const connection = await this.connections.take(currentDeadline());
    let result: T;
    try {
      result = await work(connection.runner.manager);
    } catch (error) {
      await connection.giveUp(error);
      throw toDomainError(error);
    }
    await connection.release();
    return result;
  }

  private async runWithRetries<T>(work: (tx: Tx) => Promise<T>, deadline: number): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.runOnce(work, deadline);
      } catch (error) {
        if (attempt === MAX_TRIES || !isWorthAnotherTry(error)) {
          throw toDomainError(error);
        }
        this.metrics.transactionRetries.inc();
        await sleep(Math.random() * LONGEST_PAUSE_MS * attempt);
      }
    }
  }

  private async runOnce<T>(work: (tx: Tx) => Promise<T>, deadline: number): Promise<T> {
    const connection = await this.connections.take(deadline);
    const { runner } = connection;
    let result: T;
    try {
      await begin(runner);
      result = await work(runner.manager as Tx).catch(async (error: unknown) => {
        // What is sent after a statement that has failed fails because of it.
        const unawaited = unawaitedOf.get(runner.manager)!;
        await Promise.allSettled(unawaited.all);
        throw unawaited.failed?.error ?? error;
      });
      await commit(runner);
    } catch (error) {
      await connection.giveUp(error);
      throw error;
    }
    await connection.release();
    afterCommits.get(runner.manager)?.forEach((effect) => effect());
    return result;
  }
}

/** Sends the statements that begin a transaction; the first one of the work shares their round trip. */
async function begin(runner: QueryRunner): Promise<void> {
  // If they fail, what follows them fails as well: outside a transaction that says so, nothing can be written.
  const tx = runner.manager as Tx;
  commitWith(tx, [runner.startTransaction()]);
  await sent();
  commitWith(tx, [runner.query('SET TRANSACTION READ WRITE').catch(orStandby)]);
}

/** What else keeps a server from letting us write: during recovery it refuses this with the SQLSTATE of a missing feature. */
function orStandby(error: unknown): never {
  throw databaseFailureOf(error) ? error : new DatabaseIsStandby(error);
}

async function commit(runner: QueryRunner): Promise<void> {
  const unawaited = unawaitedOf.get(runner.manager)!;
  await sent();
  // It may never have been sent, and then the server knows nothing of the failure.
  if (unawaited.failed) {
    throw unawaited.failed.error;
  }
  const [statements, commit] = await Promise.allSettled([together(unawaited.all), runner.commitTransaction()]);
  const isSure = statements.status === 'rejected' && databaseFailureOf(statements.reason) !== 'unavailable';
  if (!isSure && commit.status === 'rejected' && databaseFailureOf(commit.reason) === 'unavailable') {
    // The connection broke while COMMIT was under way: nobody can say here whether it took effect.
    throw new OutcomeUnknown(commit.reason);
  }
  // What was refused before has ended the transaction, whatever is said to COMMIT then.
  const failed = [statements, commit].find((one) => one.status === 'rejected');
  if (failed) {
    throw failed.reason;
  }
}

/** When every statement is on the wire that TypeORM was given, some promises away from the driver. */
function sent(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

function isWorthAnotherTry(error: unknown): boolean {
  return error instanceof StaleRead || databaseFailureOf(error) === 'retryable';
}

function toDomainError(error: unknown): unknown {
  switch (databaseFailureOf(error)) {
    case 'unavailable':
      return new DatabaseUnavailable(error);
    case 'busy':
    case 'retryable':
      return new Overloaded(error);
    case undefined:
      return error instanceof StaleRead ? new Overloaded(error) : error;
  }
}
