import { randomUUID } from 'node:crypto';
import { Client, type ClientConfig, type QueryConfig } from 'pg';
import { DatabaseIsStandby } from '../errors/domain-errors';
import { asStartupOptions, serviceSettings, UNLIMITED } from './session-settings';
import { together } from './together';

/** How long a server may take to let a new connection in: one that takes longer is away. */
const LONGEST_CONNECT_MS = 2_000;

/**
 * How long a session keeps its plans of prepared statements. PostgreSQL drops them when it has analysed a table, up to a
 * minute late; by then a sale has filled a table that was empty with a hundred thousand rows, all of which they would read.
 */
const LONGEST_PLAN_MS = 1_000;

/** Of the settings of the process, what its connections depend on. */
export interface ServiceConnections {
  readonly requestTimeoutMs: number;
  /** What DATABASE_URL leads through; undefined if nothing keeps a connection from being one session. */
  readonly databasePooler?: 'transaction' | undefined;
}

/** What the driver makes connections with for migrations, and for programs that nobody waits for. */
export function directClient(): object {
  return { Client: PrimaryClient, verify: refuseStandby, options: asStartupOptions(UNLIMITED) };
}

/**
 * What the driver makes the connections of the service with. PgBouncer refuses or loses what a connection asks to be set,
 * so behind it the role must set that, which the start checks.
 */
export function serviceClient({ requestTimeoutMs, databasePooler }: ServiceConnections): object {
  return databasePooler === undefined
    ? { Client: QuickClient, verify: refuseStandby, options: asStartupOptions(serviceSettings({ requestTimeoutMs })) }
    : { Client: PooledClient, verify: refuseStandby, onConnect: (client: PooledClient) => client.lookBehindPooler() };
}

/** A pool takes no connection to a standby: it cannot be written there, and what is read may be old. */
function refuseStandby(client: Client, done: (error?: Error) => void): void {
  done((client as PrimaryClient).isStandby ? new DatabaseIsStandby() : undefined);
}

export class PrimaryClient extends Client {
  isStandby = false;
  private plannedAt = performance.now();

  constructor(config: ClientConfig) {
    super(config);
    // A server says so with its greeting, which is how libpq's target_session_attrs knows as well.
    this.connection.on('parameterStatus', ({ parameterName, parameterValue }: Record<string, string>) => {
      if (parameterName === 'in_hot_standby') {
        this.isStandby = parameterValue === 'on';
      }
    });
  }

  /** Has prepared statements planned anew if their plans are old. Sent at once, before what is sent after it. */
  dropOldPlans(): void {
    if (performance.now() > this.plannedAt + LONGEST_PLAN_MS) {
      this.plannedAt = performance.now();
      // It fails only with the connection, as does what is sent after it.
      this.query('DISCARD PLANS').catch(() => undefined);
    }
  }
}

/** The pool has one patience for a connection that is in use and one that is opened; a request has two. */
export class QuickClient extends PrimaryClient {
  constructor(config: ClientConfig) {
    super({ ...config, connectionTimeoutMillis: LONGEST_CONNECT_MS });
  }
}

/** A client of a pooler in transaction mode: each transaction may get another session, without what an earlier one prepared. */
class PooledClient extends QuickClient {
  private keepsNames = false;

  /**
   * Finds out whether there is a primary: the pooler lets clients in, and greets them, without asking for one.
   * And whether it prepares a named statement in whichever session that is sent to, as PgBouncer does from 1.21 on with
   * `max_prepared_statements`: then it gives it a name of its own, and the server does not know ours.
   */
  async lookBehindPooler(): Promise<void> {
    const name = `holdfast_${randomUUID()}`;
    const text = `
      SELECT pg_is_in_recovery() AS "isStandby",
        EXISTS (SELECT FROM pg_prepared_statements WHERE name = $1) AS "isNameKnown"`;
    const query = { name, text, values: [name], query_timeout: LONGEST_CONNECT_MS };
    const [, { rows }] = await together([
      super.query('START TRANSACTION'),
      super.query<{ isStandby: boolean; isNameKnown: boolean }>(query),
    ]);
    const { isStandby, isNameKnown } = rows[0]!;
    if (isNameKnown) {
      await super.query(`DEALLOCATE "${name}"`);
    }
    await super.query('COMMIT');
    this.isStandby = isStandby;
    this.keepsNames = !isNameKnown;
  }

  /** Leaves out the name of a statement that is to be prepared, unless the pooler can keep it. Fits every overload. */
  override query(statement: string | Partial<QueryConfig>, ...rest: unknown[]): never {
    const isNamed = typeof statement === 'object' && statement.name !== undefined;
    const sent = isNamed && !this.keepsNames ? { ...statement, name: undefined } : statement;
    return (super.query as (...args: unknown[]) => unknown).call(this, sent, ...rest) as never;
  }
}
