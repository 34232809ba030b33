import { DataSource } from 'typeorm';
import { typeormOptions } from './typeorm-options';

/** The database cannot be reached at start. The message is one line, without the password. */
export class DatabaseUnreachable extends Error {}

/** Any constant will do, as long as nobody else locks it on the same database. */
const MIGRATION_LOCK = 4_861_003;

/**
 * Brings the schema of the database at `url` up to date. Processes that start at once take turns: the one advisory
 * lock of the project, held by a session of its own, so that it is freed when its process dies.
 * @throws DatabaseUnreachable
 */
export async function migrate(url: string): Promise<string[]> {
  const dataSource = new DataSource(typeormOptions(url, 2));
  await dataSource.initialize().catch((error: Error & { code?: string }) => {
    throw new DatabaseUnreachable(
      `DATABASE_URL: cannot connect to ${withoutPassword(url)}: ${error.message || error.code}`,
    );
  });
  const guard = dataSource.createQueryRunner();
  try {
    await guard.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const done = await dataSource.runMigrations({ transaction: 'each' });
    await guard.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
    return done.map((migration) => migration.name);
  } finally {
    await guard.release();
    await dataSource.destroy();
  }
}

function withoutPassword(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}
