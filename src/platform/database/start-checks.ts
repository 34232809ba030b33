import { APPLICATION_NAME } from './typeorm-options';
import { QuickClient, serviceClient, type ServiceConnections } from './clients';
import { serviceSettings, wrongSettings, type WrongSetting } from './session-settings';

/** The database cannot be reached at start. The message is one line, without the password. */
export class DatabaseUnreachable extends Error {}

/** Sessions lack settings that Holdfast relies on. The message is one line that says what to do. */
export class WrongSessions extends Error {}

/** PgBouncer's answer to an unknown startup parameter, among other things. */
const PROTOCOL_VIOLATION = '08P01';
const LONGEST_ANSWER_MS = 10_000;

/**
 * Checks that sessions at `url` will be read-only by default and have the service's time limits: a pooler may drop
 * these settings, and so does an address with its own `options`.
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

/** The error of a start that cannot connect: with the variable of the address, and the reason. */
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
