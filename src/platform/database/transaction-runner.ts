import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { DatabaseIsStandby, DatabaseUnavailable, OutcomeUnknown, Overloaded } from '../errors/domain-errors';
import { Metrics } from '../metrics/metrics';
import { Connections } from './connections';
import { databaseFailureOf } from './database-errors';
import { currentDeadline, isInTransaction, untilInTransaction } from './deadline';
import { together } from './together';
import type { Tx } from './tx';
import { UnitOfWork } from './unit-of-work';

const MAX_TRIES = 3;
const LONGEST_PAUSE_MS = 50;

/** The only place that opens transactions that write. */
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
   * Runs `work` in one transaction: commits if it returns, rolls back if it throws. The writes that its unit of work
   * has queued are flushed with COMMIT. After a deadlock or a serialization failure the whole work runs again in a new
   * transaction, three times in all, so it must have no effect outside the database. At the deadline of the request its
   * connection is cut.
   * @throws Overloaded if a lock, a statement or the pool timed out, DatabaseUnavailable if the connection is lost,
   * OutcomeUnknown if it is lost during COMMIT
   */
  async run<T>(work: (unit: UnitOfWork) => Promise<T>): Promise<T> {
    if (isInTransaction()) {
      throw new Error('A transaction is open already: pass its unit of work on');
    }
    const deadline = currentDeadline();
    return untilInTransaction(deadline, () => this.runWithRetries(work, deadline));
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

  private async runWithRetries<T>(work: (unit: UnitOfWork) => Promise<T>, deadline: number): Promise<T> {
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

  private async runOnce<T>(work: (unit: UnitOfWork) => Promise<T>, deadline: number): Promise<T> {
    const connection = await this.connections.take(deadline);
    const { runner } = connection;
    const unit = new UnitOfWork(runner.manager as Tx);
    let result: T;
    try {
      const { begun } = await begin(runner);
      result = await work(unit).catch(async (error: unknown) => {
        // Statements sent after a failed one fail because of it.
        await begun;
        throw error;
      });
      await begun;
      await commit(runner, unit);
    } catch (error) {
      await connection.giveUp(error);
      throw error;
    }
    await connection.release();
    unit.committed();
    return result;
  }
}

/** Sends the statements that begin a transaction; the first statement of the work shares their round trip. */
async function begin(runner: QueryRunner): Promise<{ begun: Promise<unknown> }> {
  const start = runner.startTransaction();
  start.catch(() => undefined);
  await sent();
  const begun = together([start, runner.query('SET TRANSACTION READ WRITE').catch(orStandby)]);
  begun.catch(() => undefined);
  return { begun };
}

/** During recovery a server refuses READ WRITE with the SQLSTATE of a missing feature: that means a standby. */
function orStandby(error: unknown): never {
  throw databaseFailureOf(error) ? error : new DatabaseIsStandby(error);
}

async function commit(runner: QueryRunner, unit: UnitOfWork): Promise<void> {
  const queued = unit.flush();
  let failed: { readonly error: unknown } | undefined;
  queued.forEach((statement) => {
    statement.catch((error: unknown) => (failed ??= { error }));
  });
  await sent();
  // The statement may never have been sent; then the server does not know that it failed.
  if (failed) {
    throw failed.error;
  }
  const [statements, commit] = await Promise.allSettled([together(queued), runner.commitTransaction()]);
  const isSure = statements.status === 'rejected' && databaseFailureOf(statements.reason) !== 'unavailable';
  if (!isSure && commit.status === 'rejected' && databaseFailureOf(commit.reason) === 'unavailable') {
    // The connection broke during COMMIT: it is unknown whether it took effect.
    throw new OutcomeUnknown(commit.reason);
  }
  // If an earlier statement failed, the transaction is aborted, whatever COMMIT answers.
  const rejected = [statements, commit].find((one) => one.status === 'rejected');
  if (rejected) {
    throw rejected.reason;
  }
}

/** Resolves when TypeORM, which takes some promises, has passed every statement to the driver. */
function sent(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

function isWorthAnotherTry(error: unknown): boolean {
  return databaseFailureOf(error) === 'retryable';
}

function toDomainError(error: unknown): unknown {
  switch (databaseFailureOf(error)) {
    case 'unavailable':
      return new DatabaseUnavailable(error);
    case 'busy':
    case 'retryable':
      return new Overloaded(error);
    case undefined:
      return error;
  }
}
