import { Injectable } from '@nestjs/common';
import pLimit, { type LimitFunction } from 'p-limit';
import type { EntityManager } from 'typeorm';
import { AppConfig } from '../config/app-config';
import { Overloaded } from '../errors/domain-errors';
import { log } from '../logging/logger';
import { Metrics } from '../metrics/metrics';
import { until } from './deadline';
import { TransactionRunner } from './transaction-runner';

/** How many run at a time in one process: most connections of the pool are for requests that take milliseconds. */
const AT_ONCE = 2;
const MOST_WAITING = 100;
/** The time limit, including the wait for its turn. */
const LONGEST_MS = 5 * 60_000;
const PROGRESS_MS = 2_000;
/** How long the server may take to cancel a statement before the connection is cut. */
const GRACE_MS = 2_000;

export interface LongRead {
  /** Its name in the log. */
  readonly name: string;
  /** A single statement, so that it reads one snapshot. */
  readonly sql: string;
  /** Aborted when nobody waits for it any more. */
  readonly signal: AbortSignal;
}

/** Reads of whole tables, which may take longer than other statements. They block nobody. */
@Injectable()
export class LongReads {
  private readonly inTurn: LimitFunction;

  constructor(
    private readonly transactions: TransactionRunner,
    private readonly metrics: Metrics,
    { databasePoolSize }: AppConfig,
  ) {
    // One connection must be left, if only to cancel them.
    this.inTurn = pLimit(Math.max(1, Math.min(AT_ONCE, databasePoolSize - 1)));
    metrics.watchQueue(() => this.inTurn.pendingCount);
  }

  /**
   * Returns the rows of the statement. Two run at a time, the others wait in the order of their arrival. Logs every two
   * seconds how long it has taken. When `signal` is aborted, the statement is cancelled in the database.
   * @throws Overloaded if a hundred wait already, if it was aborted, or if it takes more than five minutes;
   * DatabaseUnavailable
   */
  run<Row>(read: LongRead): Promise<Row[]> {
    if (this.inTurn.pendingCount >= MOST_WAITING) {
      this.metrics.overloadRefusals.inc();
      return Promise.reject(new Overloaded());
    }
    const signal = AbortSignal.any([read.signal, AbortSignal.timeout(LONGEST_MS)]);
    return this.inTurn(() => this.observe<Row>({ ...read, signal }));
  }

  private async observe<Row>(read: LongRead): Promise<Row[]> {
    const startedAt = performance.now();
    const state = (): object => ({ read: read.name, ms: Math.round(performance.now() - startedAt) });
    const timer = setInterval(() => log.info(state(), 'a long read is under way'), PROGRESS_MS);
    try {
      const deadline = performance.now() + LONGEST_MS + GRACE_MS;
      return await until(deadline, () => this.transactions.read((manager) => this.query<Row>(manager, read)));
    } catch (error) {
      if (!read.signal.aborted) {
        throw error;
      }
      log.warn(state(), 'a long read was cancelled: its caller has hung up, or it took too long');
      throw new Overloaded();
    } finally {
      clearInterval(timer);
    }
  }

  /** Runs in a transaction, which limits the longer timeout to it. On an error, `TransactionRunner.read` rolls back. */
  private async query<Row>(manager: EntityManager, { sql, signal }: LongRead): Promise<Row[]> {
    await manager.queryRunner!.startTransaction();
    const [session] = await manager.query<{ pid: number }[]>(
      `SELECT pg_backend_pid() AS pid, set_config('statement_timeout', $1, true)`,
      [String(LONGEST_MS)],
    );
    signal.throwIfAborted();
    const stopCancelling = this.cancelOnAbort(signal, session!.pid);
    let rows: Row[];
    try {
      rows = await manager.query<Row[]>(sql);
    } finally {
      await stopCancelling();
    }
    await manager.queryRunner!.commitTransaction();
    return rows;
  }

  /**
   * Cancels the statement of that session when `signal` is aborted. Call the returned function before the session does
   * anything else: a late cancel would hit the statement of whoever gets the connection next.
   */
  private cancelOnAbort(signal: AbortSignal, pid: number): () => Promise<unknown> {
    let isOver = false;
    let cancelling: Promise<unknown> = Promise.resolve();
    const cancel = async (manager: EntityManager): Promise<unknown> =>
      // It may have waited for this connection until there was nothing left to cancel.
      isOver ? undefined : (cancelling = manager.query('SELECT pg_cancel_backend($1)', [pid]));
    const onAbort = (): void =>
      void this.transactions.read(cancel).catch((error: unknown) => {
        log.warn({ err: error }, 'a long read could not be cancelled: it goes on to its end');
      });
    signal.addEventListener('abort', onAbort);
    return async () => {
      isOver = true;
      signal.removeEventListener('abort', onAbort);
      await Promise.allSettled([cancelling]);
    };
  }
}
