import { randomUUID } from 'node:crypto';
import { Client, type ClientConfig, type QueryConfig } from 'pg';
import { DatabaseIsStandby } from '../errors/domain-errors';
import { asStartupOptions, serviceSettings, UNLIMITED } from './session-settings';
import { together } from './together';

/** How long a server may take to accept a connection before it counts as unreachable. */
const LONGEST_CONNECT_MS = 2_000;

/**
 * How long a session keeps the plans of prepared statements. PostgreSQL itself drops them only after it has analysed a table,
 * up to a minute late. By then a sale can fill an empty table with a hundred thousand rows, and an old plan reads them all.
 */
const LONGEST_PLAN_MS = 1_000;

/** The settings that connections depend on. */
export interface ServiceConnections {
  readonly requestTimeoutMs: number;
  /** The pooler in front of the database; undefined if each connection is one session. */
  readonly databasePooler?: 'transaction' | undefined;
}

/** Connection options for migrations and for programs without a time limit. */
export function directClient(): object {
  return { Client: PrimaryClient, verify: refuseStandby, options: asStartupOptions(UNLIMITED) };
}

/**
 * Connection options of the service. PgBouncer rejects or drops the session settings of a connection, so behind it the role
 * must have them; the start checks that.
 */
export function serviceClient({ requestTimeoutMs, databasePooler }: ServiceConnections): object {
  return databasePooler === undefined
    ? { Client: QuickClient, verify: refuseStandby, options: asStartupOptions(serviceSettings({ requestTimeoutMs })) }
    : { Client: PooledClient, verify: refuseStandby, onConnect: (client: PooledClient) => client.lookBehindPooler() };
}

/** Keeps connections to a standby out of the pool: a standby cannot write, and its data may be old. */
function refuseStandby(client: Client, done: (error?: Error) => void): void {
  done((client as PrimaryClient).isStandby ? new DatabaseIsStandby() : undefined);
}

export class PrimaryClient extends Client {
  isStandby = false;
  private plannedAt = performance.now();

  constructor(config: ClientConfig) {
    super(config);
    // The server reports it in its greeting; libpq's target_session_attrs reads the same.
    this.connection.on('parameterStatus', ({ parameterName, parameterValue }: Record<string, string>) => {
      if (parameterName === 'in_hot_standby') {
        this.isStandby = parameterValue === 'on';
      }
    });
  }

  /** Drops the plans of prepared statements if they are old. Sent at once, before any later statement. */
  dropOldPlans(): void {
    if (performance.now() > this.plannedAt + LONGEST_PLAN_MS) {
      this.plannedAt = performance.now();
      // If it fails, the connection is broken, and the next statement reports that.
      this.query('DISCARD PLANS').catch(() => undefined);
    }
  }
}

/** With a timeout of its own for connecting: the pool would use its longer one for both connecting and waiting. */
export class QuickClient extends PrimaryClient {
  constructor(config: ClientConfig) {
    super({ ...config, connectionTimeoutMillis: LONGEST_CONNECT_MS });
  }
}

/** A client of a pooler in transaction mode, where each transaction may run in another session. */
class PooledClient extends QuickClient {
  private keepsNames = false;

  /**
   * Finds out whether the server is a primary (the pooler accepts clients without asking it), and whether the pooler supports
   * named statements, as PgBouncer does from 1.21 on with `max_prepared_statements`: it then uses names of its own, so the
   * server does not know ours.
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

  /** Sends named statements without their name unless the pooler supports names. Matches every overload. */
  override query(statement: string | Partial<QueryConfig>, ...rest: unknown[]): never {
    const isNamed = typeof statement === 'object' && statement.name !== undefined;
    const sent = isNamed && !this.keepsNames ? { ...statement, name: undefined } : statement;
    return (super.query as (...args: unknown[]) => unknown).call(this, sent, ...rest) as never;
  }
}
