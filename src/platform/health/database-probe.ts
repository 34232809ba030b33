import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { Pool } from 'pg';
import type { DataSource } from 'typeorm';

const PATIENCE_MS = 1500;

/**
 * Asks the database on a connection of its own: a pool that is in use to the last connection is busy, not unreachable,
 * and taking a busy process out of service would make the others busier.
 */
@Injectable()
export class DatabaseProbe implements OnApplicationShutdown {
  private readonly pool: Pool;

  constructor(@InjectDataSource() { options }: DataSource) {
    this.pool = new Pool({
      connectionString: (options as { url: string }).url,
      application_name: 'holdfast-probe',
      max: 1,
      connectionTimeoutMillis: PATIENCE_MS,
      query_timeout: PATIENCE_MS,
    });
    // A server that goes away is told by the next ask, not by an unheard 'error' event.
    this.pool.on('error', () => undefined);
  }

  /** @throws if there is no answer in 1.5 s */
  async ask(): Promise<void> {
    await this.pool.query('SELECT 1');
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }
}
