import { type DataSource, QueryFailedError, type QueryRunner } from 'typeorm';
import { CannotConnect, DatabaseUnavailable, OutcomeUnknown, PoolExhausted } from '../errors/domain-errors';
import type { PrimaryClient } from './clients';
import { databaseFailureOf } from './database-errors';
import { LONGEST_POOL_WAIT_MS } from './typeorm-options';

/** The pool's connections, lent until a deadline. */
export class Connections {
  /** Those who wait for a connection, each to be told that there is none. */
  private readonly waiting = new Set<(error: Error) => void>();
  /** How long a request waits for one that is in use. */
  patienceMs = LONGEST_POOL_WAIT_MS;
  private lent = 0;

  constructor(private readonly dataSource: DataSource) {}

  /**
   * @param deadline on the clock of `performance.now()`
   * @throws PoolExhausted if all stayed in use for ten seconds or until the deadline, or if the server has too many
   *   clients; CannotConnect if there is none and a new one could not be opened, by this caller or by another while this
   *   one waited; DatabaseUnavailable if others have one, or if the deadline is past
   */
  async take(deadline: number): Promise<Connection> {
    const timeLeft = deadline - performance.now();
    if (timeLeft <= 0) {
      throw new DatabaseUnavailable(new Error('No time was left for another connection'));
    }
    const runner = this.dataSource.createQueryRunner();
    const connecting = runner.connect() as Promise<PrimaryClient>;
    try {
      const client = await this.orTold(connecting, Math.min(timeLeft, this.patienceMs));
      this.lent += 1;
      client.dropOldPlans();
      return new Connection(runner, client, { deadline, onEnd: () => (this.lent -= 1) });
    } catch (error) {
      // Who has given up takes nothing from those who come next.
      connecting.then(() => runner.release()).catch(() => undefined);
      throw error;
    }
  }

  /** What `connecting` gives, or the error that comes first: its own, that of another, or that it takes too long. */
  private orTold(connecting: Promise<PrimaryClient>, patienceMs: number): Promise<PrimaryClient> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.waiting.delete(told);
      };
      const told = (error: Error): void => {
        settle();
        reject(error);
      };
      const timer = setTimeout(() => told(new PoolExhausted()), patienceMs);
      this.waiting.add(told);
      connecting.then(
        (client) => {
          settle();
          resolve(client);
        },
        (error: Error) => (this.waiting.has(told) ? this.tell(told, error) : undefined),
      );
    });
  }

  /** If the server is away, nobody needs to find that out for himself; but as long as others have connections it is not. */
  private tell(told: (error: Error) => void, cause: Error): void {
    if (databaseFailureOf(new QueryFailedError('', undefined, cause)) === 'busy') {
      told(new PoolExhausted(cause));
    } else if (this.lent > 0) {
      told(new DatabaseUnavailable(cause));
    } else {
      [...this.waiting].forEach((each) => each(new CannotConnect(cause)));
    }
  }
}

/** One connection, until it is given back. At the deadline it is cut: what was sent on it fails as if it had broken. */
export class Connection {
  private readonly timer: NodeJS.Timeout;

  constructor(
    readonly runner: QueryRunner,
    client: PrimaryClient,
    private readonly term: { readonly deadline: number; readonly onEnd: () => void },
  ) {
    // A timer may fire a millisecond early, and whoever looks at the clock after the cut must find that his time is over.
    this.timer = setTimeout(() => cut(client), term.deadline - performance.now() + 1).unref();
  }

  async release(): Promise<void> {
    this.end();
    await this.runner.release();
  }

  /**
   * Rolls back what was begun and gives the connection back to the pool; but one that broke, does not answer or leads to a
   * standby is thrown away, and the transaction with it: whoever got it next would fare no better.
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

  /** TypeORM keeps this to itself: only a connection released with an error leaves the pool. */
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

/** As pg does it itself to a connection that does not answer: its end() would wait for what was sent to be answered. */
function cut(client: PrimaryClient): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
}
