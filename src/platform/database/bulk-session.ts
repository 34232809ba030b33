import { DataSource, type QueryRunner } from 'typeorm';
import { typeormOptions } from './typeorm-options';

/**
 * One connection for a program that moves much data while nobody waits: without the time limits of requests, and always
 * the same session, so that temporary tables and functions stay.
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

  /** Returns the rows, like the `query` of a transaction's manager. */
  query<T = unknown>(sql: string, values?: unknown[]): Promise<T> {
    return this.runner.query(sql, values) as Promise<T>;
  }

  /** Runs `work` in a transaction: all or nothing. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.isClosing) {
      throw new Error('The session is closed');
    }
    const running = this.begin(work);
    this.underWay = running.catch(() => undefined);
    return running;
  }

  /** Waits for the running transaction to end first. */
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
      // A lost connection cannot roll back and need not: the first error is the one to report.
      await this.runner.rollbackTransaction().catch(() => undefined);
      throw error;
    }
  }
}
