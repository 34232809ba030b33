import { APPLICATION_NAME } from './typeorm-options';
import { QuickClient, serviceClient, type ServiceConnections } from './clients';
import { serviceSettings, wrongSettings, type WrongSetting } from './session-settings';

/** The database cannot be reached at start. The message is one line, without the password. */
export class DatabaseUnreachable extends Error {}

/** Sessions of the database are not what Holdfast relies on. The message is one line that says what to do. */
export class WrongSessions extends Error {}

/** What PgBouncer answers to a startup parameter that it does not know, among others. */
const PROTOCOL_VIOLATION = '08P01';
const LONGEST_ANSWER_MS = 10_000;

/**
 * Fails unless the sessions that the service is going to have at `url` are read-only by default and have its time limits:
 * a pooler may lose what is asked of it, and so does an address that has `options` of its own.
 * @throws DatabaseUnreachable, WrongSessions
 */
export async function checkSessions(url: string, connections: ServiceConnections): Promise<void> {
  const client = new QuickClient({
    ...{ connectionString: url, application_name: APPLICATION_NAME, query_timeout: LONGEST_ANSWER_MS },
    ...serviceClient(connections),
  });
  client.on('error', () => undefined);
  let wrong: WrongSetting[];
  try {
    await client.connect();
    wrong = await wrongSettings(
      async (sql, values) => (await client.query<WrongSetting>(sql, values)).rows,
      serviceSettings(connections),
    );
  } catch (error) {
    throw unreachable('DATABASE_URL', url, error as Error);
  } finally {
    await client.end();
  }
  if (wrong.length > 0) {
    const remedy = wrong.map(
      ({ name, wanted, role, database }) => `ALTER ROLE ${role} IN DATABASE ${database} SET ${name} = ${wanted};`,
    );
    throw new WrongSessions(
      `DATABASE_URL: its sessions have ${shown(wrong)}. Let the role set what Holdfast relies on: ${remedy.join(' ')} ` +
        'A pooler then needs RECONNECT, and DATABASE_POOLER: see docs/pooler.md',
    );
  }
}

/** What a start that cannot connect says: the variable that names the address, and the reason. */
export function unreachable(variable: string, url: string, error: Error & { code?: string }): DatabaseUnreachable {
  const { host, pathname } = new URL(url);
  const hint = error.code === PROTOCOL_VIOLATION ? '; if that is a pooler, see docs/pooler.md' : '';
  return new DatabaseUnreachable(
    `${variable}: cannot connect to ${host}${pathname}: ${error.message || error.code}${hint}`,
  );
}

export function shown(wrong: readonly WrongSetting[]): string {
  return wrong.map(({ name, setting }) => `${name} = ${setting}`).join(', ');
}
