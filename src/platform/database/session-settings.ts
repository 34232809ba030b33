/** Settings of PostgreSQL by name, as the view `pg_settings` shows them: times in milliseconds. */
export type SessionSettings = Readonly<Record<string, string>>;

/** How long a statement waits for a lock that another transaction holds. */
const LOCK_WAIT_MS = 3_000;
/** The share of a request's time for a statement: the server should report the timeout before the connection is cut. */
const STATEMENT_SHARE = 2 / 3;

/** For migrations and for programs that nobody waits for; overrides what the role sets for the service. */
export const UNLIMITED: SessionSettings = {
  default_transaction_read_only: 'off',
  lock_timeout: '0',
  statement_timeout: '0',
  idle_in_transaction_session_timeout: '0',
};

/**
 * For the service. The server ends a statement that takes too long; if it fails to, the connection is cut at the
 * request's deadline. Nothing can be written or locked outside `TransactionRunner.run`, whose transactions are declared
 * READ WRITE.
 */
export function serviceSettings({ requestTimeoutMs }: { requestTimeoutMs: number }): SessionSettings {
  return {
    default_transaction_read_only: 'on',
    lock_timeout: String(LOCK_WAIT_MS),
    statement_timeout: String(Math.round(requestTimeoutMs * STATEMENT_SHARE)),
    // Reading a page of a list takes less time than compiling its plan.
    jit: 'off',
  };
}

/** The startup parameter `options` that sets them. */
export function asStartupOptions(settings: SessionSettings): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ');
}

export interface WrongSetting {
  readonly name: string;
  readonly wanted: string;
  readonly setting: string;
  /** The user and the database of the session, quoted for SQL. */
  readonly role: string;
  readonly database: string;
}

const CURRENT = `
  SELECT name, setting, quote_ident(current_user) AS role, quote_ident(current_database()) AS database
  FROM pg_settings WHERE name = ANY($1) ORDER BY name`;

/** The settings that differ in a session. @param query runs a statement in it and returns the rows */
export async function wrongSettings(
  query: (sql: string, values: unknown[]) => Promise<Omit<WrongSetting, 'wanted'>[]>,
  wanted: SessionSettings,
): Promise<WrongSetting[]> {
  const rows = await query(CURRENT, [Object.keys(wanted)]);
  return rows.map((row) => ({ ...row, wanted: wanted[row.name]! })).filter(({ setting, wanted }) => setting !== wanted);
}
