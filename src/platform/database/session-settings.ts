/** Settings of PostgreSQL by name, as the view `pg_settings` shows them: times in milliseconds. */
export type SessionSettings = Readonly<Record<string, string>>;

/** How long a statement waits for a lock that another transaction holds. */
const LOCK_WAIT_MS = 3_000;
/** Of the time that a request has: so that the server can say that it was too long before the connection is cut. */
const STATEMENT_SHARE = 2 / 3;

/** For migrations, and for programs that nobody waits for, whatever the role sets for the service. */
export const UNLIMITED: SessionSettings = {
  default_transaction_read_only: 'off',
  lock_timeout: '0',
  statement_timeout: '0',
  idle_in_transaction_session_timeout: '0',
};

/**
 * For the service. The server ends a statement that takes too long; one that does not even do that is not waited for past
 * the deadline of a request. Outside of `TransactionRunner.run`, whose transactions say that they write, nothing can be
 * written or locked.
 */
export function serviceSettings({ requestTimeoutMs }: { requestTimeoutMs: number }): SessionSettings {
  return {
    default_transaction_read_only: 'on',
    lock_timeout: String(LOCK_WAIT_MS),
    statement_timeout: String(Math.round(requestTimeoutMs * STATEMENT_SHARE)),
    // A page of a list is read faster than its plan is compiled.
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

/** Those that are not so in the session of `query`, which gives the rows of a statement. */
export async function wrongSettings(
  query: (sql: string, values: unknown[]) => Promise<Omit<WrongSetting, 'wanted'>[]>,
  wanted: SessionSettings,
): Promise<WrongSetting[]> {
  const rows = await query(CURRENT, [Object.keys(wanted)]);
  return rows.map((row) => ({ ...row, wanted: wanted[row.name]! })).filter(({ setting, wanted }) => setting !== wanted);
}
