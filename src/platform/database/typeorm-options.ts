import { join } from 'node:path';
import { Client, type ClientConfig, type Pool } from 'pg';
import { type DataSource, DefaultNamingStrategy, type DataSourceOptions } from 'typeorm';
import { DatabaseIsStandby } from '../errors/domain-errors';

export const APPLICATION_NAME = 'holdfast';
/** How long a request waits for a connection of the pool before it is refused. */
export const LONGEST_POOL_WAIT_MS = 10_000;
/** When the pool forgets who waits: later, so that whoever it refuses could not connect, and did not only wait. */
const POOL_MEMORY_MS = LONGEST_POOL_WAIT_MS + 1_000;
/** How long a server may take to let a new connection in: one that takes longer is away. */
const LONGEST_CONNECT_MS = 2_000;
/** How long a statement waits for a lock that another transaction holds. */
const LOCK_WAIT_MS = 3_000;

/** Entities are camelCase, columns snake_case; a column says its name only where that rule does not give it. */
class SnakeCaseNames extends DefaultNamingStrategy {
  override columnName(property: string, customName: string | undefined, prefixes: string[]): string {
    return [...prefixes, customName ?? property].map(toSnakeCase).join('_');
  }
}

class PrimaryClient extends Client {
  isStandby = false;

  constructor(config: ClientConfig) {
    super(config);
    // A server says so with its greeting, which is how libpq's target_session_attrs knows as well.
    this.connection.on('parameterStatus', ({ parameterName, parameterValue }: Record<string, string>) => {
      if (parameterName === 'in_hot_standby') {
        this.isStandby = parameterValue === 'on';
      }
    });
  }
}

/** A pool takes no connection to a standby: it cannot be written there, and what is read may be old. */
function refuseStandby(client: Client, done: (error?: Error) => void): void {
  done((client as PrimaryClient).isStandby ? new DatabaseIsStandby() : undefined);
}

/** The pool has one patience for a connection that is in use and one that is opened; a request has two. */
class QuickClient extends PrimaryClient {
  constructor(config: ClientConfig) {
    super({ ...config, connectionTimeoutMillis: LONGEST_CONNECT_MS });
  }
}

/** What the service, the migrations and the TypeORM command line share. Migrations have no time limit. */
export function typeormOptions(url: string, poolSize = 10, statementTimeoutMs = 0): DataSourceOptions {
  const root = join(__dirname, '..', '..', '..');
  return {
    type: 'postgres',
    url,
    applicationName: APPLICATION_NAME,
    entities: [join(root, 'src/**/*.entity.{ts,js}')],
    migrations: [join(root, 'migrations/*.{ts,js}')],
    migrationsTableName: 'schema_migrations',
    namingStrategy: new SnakeCaseNames(),
    poolSize,
    connectTimeoutMS: POOL_MEMORY_MS,
    installExtensions: false,
    logging: false,
    // Statements that are sent without waiting for each other's results share a round trip.
    extra: {
      ...{ keepAlive: true, pipeline: true, Client: PrimaryClient, verify: refuseStandby },
      ...(statementTimeoutMs > 0 && limits(statementTimeoutMs)),
    },
  };
}

/**
 * The server ends a statement that takes too long; one that does not even do that is not waited for past the deadline
 * of a request. Outside of `TransactionRunner.run`, whose transactions say that they write, nothing can be written or
 * locked.
 */
function limits(statementMs: number): object {
  return {
    ...{ lock_timeout: LOCK_WAIT_MS, statement_timeout: statementMs, Client: QuickClient },
    // A page of a list is read faster than its plan is compiled.
    options: '-c default_transaction_read_only=on -c jit=off',
  };
}

export interface PoolUse {
  total: number;
  idle: number;
  waiting: number;
}

export function poolUse(dataSource: DataSource): PoolUse {
  const pool = poolOf(dataSource);
  return { total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount };
}

function poolOf(dataSource: DataSource): Pool {
  return (dataSource.driver as unknown as { master: Pool }).master;
}

/** What a column is called whose property is called so. */
export function toSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
