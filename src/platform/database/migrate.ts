import { DataSource } from 'typeorm';
import { UNLIMITED, wrongSettings } from './session-settings';
import { shown, unreachable, WrongSessions } from './start-checks';
import { typeormOptions } from './typeorm-options';

/** Any constant will do, as long as nobody else locks it on the same database. */
const MIGRATION_LOCK = 4_861_003;

/**
 * Brings the schema of the database at `url` up to date. Processes that start at once take turns by an advisory lock. A
 * separate transaction holds it, so that it is released if the process dies.
 * @param variable the setting that the address comes from
 * @throws DatabaseUnreachable, WrongSessions
 */
export async function migrate(url: string, variable = 'DATABASE_URL'): Promise<string[]> {
  const dataSource = new DataSource(typeormOptions(url, 2));
  await dataSource.initialize().catch((error: Error) => {
    throw unreachable(variable, url, error);
  });
  const guard = dataSource.createQueryRunner();
  try {
    const wrong = await wrongSettings((sql, values) => guard.query(sql, values), UNLIMITED);
    if (wrong.length > 0) {
      throw new WrongSessions(
        `${variable}: its sessions have ${shown(wrong)}, whatever they ask for: it must lead past any pooler, see docs/pooler.md`,
      );
    }
    await guard.startTransaction();
    await guard.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    const done = await dataSource.runMigrations({ transaction: 'each' });
    await guard.commitTransaction();
    return done.map((migration) => migration.name);
  } finally {
    await guard.release();
    await dataSource.destroy();
  }
}
