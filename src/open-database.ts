import type { AppConfig } from './platform/config/app-config';
import { startEmbeddedPostgres } from './platform/embedded-postgres/embedded-postgres';

export interface Database {
  /** Where the service connects. */
  url: string;
  /** Where migrations, and programs that need one session for long, connect: past any pooler. */
  direct: { url: string; variable: string };
  stop(): Promise<void>;
}

/**
 * DATABASE_URL, or an embedded PostgreSQL with its data under DATA_DIR. Only one process can own that; with `mayShare`
 * a command uses the one of the running service.
 */
export async function openDatabase(config: AppConfig, { mayShare = false } = {}): Promise<Database> {
  const { databaseUrl, databaseMigrationUrl, dataDir } = config;
  if (databaseUrl === undefined) {
    const embedded = await startEmbeddedPostgres({ dataDir, mayShare });
    return { ...embedded, direct: { url: embedded.url, variable: 'DATABASE_URL' } };
  }
  const direct =
    databaseMigrationUrl === undefined
      ? { url: databaseUrl, variable: 'DATABASE_URL' }
      : { url: databaseMigrationUrl, variable: 'DATABASE_MIGRATION_URL' };
  return { url: databaseUrl, direct, stop: async () => undefined };
}
