import { DataSource, type QueryRunner } from 'typeorm';
import { typeormOptions } from './typeorm-options';

/**
 * One connection for a program that moves much and has nobody waiting for it: without the time limits of requests, and
 * always the same, so that temporary tables and functions stay.
 */
export class BulkSession {
  private underWay: Promise<unknown> = Promise.resolve();
  private isClosing = false;

  private constructor(
    private readonly dataSource: DataSource,
    private readonly runner: QueryRunner,
  ) {}

  static async open(url: string): Promise<BulkSession> {
    const dataSource = await new DataSource(typeormOptions(url, 1)).initialize();
    return new BulkSession(dataSource, dataSource.createQueryRunner());
  }

  /** What it gives is as with a transaction's manager: the rows. */
  query<T = unknown>(sql: string, values?: unknown[]): Promise<T> {
    return this.runner.query(sql, values) as Promise<T>;
  }

  /** Everything that `work` does, or nothing of it. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.isClosing) {
      throw new Error('The session is closed');
    }
    const running = this.begin(work);
    this.underWay = running.catch(() => undefined);
    return running;
  }

  /** Lets the transaction that is under way come to its end first. */
  async close(): Promise<void> {
    this.isClosing = true;
    await this.underWay;
    await this.runner.release();
    await this.dataSource.destroy();
  }

  private async begin<T>(work: () => Promise<T>): Promise<T> {
    await this.runner.startTransaction();
    try {
      const result = await work();
      await this.runner.commitTransaction();
      return result;
    } catch (error) {
      // A connection that is lost cannot roll back, and need not: the error that counts is the first.
      await this.runner.rollbackTransaction().catch(() => undefined);
      throw error;
    }
  }
}
