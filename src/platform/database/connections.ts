import { type DataSource, QueryFailedError, type QueryRunner } from 'typeorm';
import { CannotConnect, DatabaseUnavailable, OutcomeUnknown, PoolExhausted } from '../errors/domain-errors';
import type { PrimaryClient } from './clients';
import { databaseFailureOf } from './database-errors';
import { LONGEST_POOL_WAIT_MS } from './typeorm-options';

/** The pool's connections, lent until a deadline. */
export class Connections {
  /** Rejects each request that waits for a connection. */
  private readonly waiting = new Set<(error: Error) => void>();
  /** How long a request waits if all connections are in use. */
  waitTimeoutMs = LONGEST_POOL_WAIT_MS;
  private lent = 0;

  constructor(private readonly dataSource: DataSource) {}

  /**
   * @param deadline by `performance.now()`
   * @throws PoolExhausted if all connections stayed in use for ten seconds or until the deadline, or if the server has
   * too many clients. If a new connection cannot be opened: DatabaseUnavailable while others are in use, else
   * CannotConnect, also for the requests that wait. DatabaseUnavailable if the deadline has passed.
   */
  async take(deadline: number): Promise<Connection> {
    const timeLeft = deadline - performance.now();
    if (timeLeft <= 0) {
      throw new DatabaseUnavailable(new Error('No time was left for another connection'));
    }
    const runner = this.dataSource.createQueryRunner();
    const connecting = runner.connect() as Promise<PrimaryClient>;
    try {
      const client = await this.orFail(connecting, Math.min(timeLeft, this.waitTimeoutMs));
      this.lent += 1;
      client.dropOldPlans();
      return new Connection(runner, client, { deadline, onEnd: () => (this.lent -= 1) });
    } catch (error) {
      // This request gave up: a connection that still arrives goes back to the pool.
      connecting.then(() => runner.release()).catch(() => undefined);
      throw error;
    }
  }

  /** Resolves with the connection; rejects after the timeout, or if this or another connection cannot be opened. */
  private orFail(connecting: Promise<PrimaryClient>, timeoutMs: number): Promise<PrimaryClient> {
    return new Promise((resolve, reject) => {
      const stopWaiting = (): void => {
        clearTimeout(timer);
        this.waiting.delete(fail);
      };
      const fail = (error: Error): void => {
        stopWaiting();
        reject(error);
      };
      const timer = setTimeout(() => fail(new PoolExhausted()), timeoutMs);
      this.waiting.add(fail);
      connecting.then(
        (client) => {
          stopWaiting();
          resolve(client);
        },
        (error: Error) => (this.waiting.has(fail) ? this.connectFailed(error, fail) : undefined),
      );
    });
  }

  /** If no connection is in use either, the server counts as unreachable, and all waiting requests fail at once. */
  private connectFailed(cause: Error, fail: (error: Error) => void): void {
    if (databaseFailureOf(new QueryFailedError('', undefined, cause)) === 'busy') {
      fail(new PoolExhausted(cause));
    } else if (this.lent > 0) {
      fail(new DatabaseUnavailable(cause));
    } else {
      [...this.waiting].forEach((failOne) => failOne(new CannotConnect(cause)));
    }
  }
}

/** One connection, until it is returned. At the deadline it is cut: its statements fail as if it had broken. */
export class Connection {
  private readonly timer: NodeJS.Timeout;

  constructor(
    readonly runner: QueryRunner,
    client: PrimaryClient,
    private readonly term: { readonly deadline: number; readonly onEnd: () => void },
  ) {
    // A timer may fire a millisecond early, but after the cut the deadline must have passed.
    this.timer = setTimeout(() => cut(client), term.deadline - performance.now() + 1).unref();
  }

  async release(): Promise<void> {
    this.end();
    await this.runner.release();
  }

  /**
   * Rolls back and returns the connection to the pool. A connection that broke, does not answer or leads to a standby
   * is closed instead, which ends its transaction too.
   */
  async giveUp(reason: unknown): Promise<void> {
    const isOver = [OutcomeUnknown, DatabaseUnavailable].some((kind) => reason instanceof kind);
    const isBroken = isOver || databaseFailureOf(reason) === 'unavailable';
    try {
      if (!isBroken && this.runner.isTransactionActive) {
        await this.runner.rollbackTransaction();
      }
    } catch {
      await this.discard();
      return;
    }
    await (isBroken ? this.discard() : this.release());
  }

  /** Uses a private method of TypeORM: only a connection released with an error leaves the pool. */
  private discard(): Promise<void> {
    this.end();
    const postgres = this.runner as unknown as { releasePostgresConnection(error: Error): Promise<void> };
    return postgres.releasePostgresConnection(new Error('The connection broke or does not answer'));
  }

  private end(): void {
    clearTimeout(this.timer);
    this.term.onEnd();
  }
}

/** As pg itself does with a connection that does not answer: its end() would wait for the answers. */
function cut(client: PrimaryClient): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
}
