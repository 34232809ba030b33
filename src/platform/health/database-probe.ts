import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { Pool } from 'pg';
import type { DataSource } from 'typeorm';
import { DatabaseIsStandby, DatabaseUnavailable } from '../errors/domain-errors';

const TIMEOUT_MS = 1500;

/**
 * Checks the database on its own connection: if the pool is exhausted, the process is busy, not without a database, and
 * taking a busy process out of service would make the others busier.
 */
@Injectable()
export class DatabaseProbe implements OnApplicationShutdown {
  private readonly pool: Pool;

  constructor(@InjectDataSource() { options }: DataSource) {
    this.pool = new Pool({
      connectionString: (options as { url: string }).url,
      application_name: 'holdfast-probe',
      max: 1,
      connectionTimeoutMillis: TIMEOUT_MS,
      query_timeout: TIMEOUT_MS,
    });
    // If the server stops, the next check reports it; an unhandled 'error' event would end the process.
    this.pool.on('error', () => undefined);
  }

  /**
   * Also reads from a table, which may be on another node than the one that answers.
   * @throws DatabaseUnavailable if there is no answer in 1.5 s; DatabaseIsStandby
   */
  async ask(): Promise<void> {
    const { isStandby } = await this.look().catch((error: unknown) => {
      throw new DatabaseUnavailable(error);
    });
    if (isStandby) {
      throw new DatabaseIsStandby(new Error('pg_is_in_recovery() is true'));
    }
  }

  private async look(): Promise<{ isStandby: boolean }> {
    const { rows } = await this.pool.query<{ isStandby: boolean }>('SELECT pg_is_in_recovery() AS "isStandby"');
    await this.pool.query('SELECT FROM warehouses LIMIT 1');
    return rows[0]!;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }
}
