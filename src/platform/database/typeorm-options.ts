import { join } from 'node:path';
import type { Pool } from 'pg';
import { type DataSource, DefaultNamingStrategy, type DataSourceOptions } from 'typeorm';
import { directClient, serviceClient, type ServiceConnections } from './clients';

export const APPLICATION_NAME = 'holdfast';
/** How long a request waits for a pool connection before it is refused. */
export const LONGEST_POOL_WAIT_MS = 10_000;
/** The pool's own timeout. It is longer, so that it only fires for a connection that could not be opened. */
const POOL_TIMEOUT_MS = LONGEST_POOL_WAIT_MS + 1_000;

/** Entities are camelCase, columns snake_case; a column declares its name only if this rule does not produce it. */
class SnakeCaseNames extends DefaultNamingStrategy {
  override columnName(property: string, customName: string | undefined, prefixes: string[]): string {
    return [...prefixes, customName ?? property].map(toSnakeCase).join('_');
  }
}

/** For migrations, the TypeORM command line, and programs that nobody waits for. */
export function typeormOptions(url: string, poolSize = 10): DataSourceOptions {
  return optionsOf(url, poolSize, directClient());
}

/** For the service. */
export function serviceOptions(
  url: string,
  connections: ServiceConnections & { databasePoolSize: number },
): DataSourceOptions {
  return optionsOf(url, connections.databasePoolSize, serviceClient(connections));
}

function optionsOf(url: string, poolSize: number, client: object): DataSourceOptions {
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
    connectTimeoutMS: POOL_TIMEOUT_MS,
    installExtensions: false,
    logging: false,
    // Statements sent without waiting for each other's results share a round trip.
    extra: { keepAlive: true, pipeline: true, ...client },
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

/** The column name of a property. */
export function toSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
