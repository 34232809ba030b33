import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { type Cluster, SUPERUSER } from './cluster';
import type { Server } from './lock';

/** The connection by which other processes see that this one uses the server, even while its pool is empty. */
const PRESENCE = 'holdfast-presence';
/** A connection that looks whether the server is in use, and is no use itself. */
const KEEPER = 'holdfast-keeper';

const CONNECT_TIMEOUT_MS = 5_000;
/** pg_stat_activity shows the connections of a closed pool for a moment. */
const CLOSING_CLIENTS_MS = 2_000;
const POLL_MS = 50;

const TOO_MANY_CONNECTIONS = '53300';
const INVALID_AUTHORIZATION = /^28/;

export function connectAsPresence(cluster: Cluster, server: Server): Promise<Client> {
  return connect(cluster, server, PRESENCE);
}

/** A server that lets nobody in is not in use: it is gone, or somebody else is stopping it. */
export async function isInUse(cluster: Cluster, server: Server): Promise<boolean> {
  const deadline = Date.now() + CLOSING_CLIENTS_MS;
  const keeper = await connect(cluster, server, KEEPER).catch((error: unknown) => error);
  if (!(keeper instanceof Client)) {
    return codeOf(keeper) === TOO_MANY_CONNECTIONS;
  }
  try {
    while (await hasOtherClients(keeper)) {
      if (Date.now() > deadline) {
        return true;
      }
      await sleep(POLL_MS);
    }
    return false;
  } catch {
    return false;
  } finally {
    await keeper.end().catch(() => undefined);
  }
}

export function isRefusal(error: unknown): boolean {
  return INVALID_AUTHORIZATION.test(codeOf(error));
}

/** The SQLSTATE, or what Node says about the socket. */
export function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? '';
}

async function hasOtherClients(keeper: Client): Promise<boolean> {
  const others = await keeper.query(
    `SELECT FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> $1 LIMIT 1`,
    [KEEPER],
  );
  return others.rowCount === 1;
}

async function connect(cluster: Cluster, server: Server, applicationName: string): Promise<Client> {
  const client = new Client({
    host: '127.0.0.1',
    port: server.port,
    user: SUPERUSER,
    password: cluster.password,
    database: 'postgres',
    ssl: false,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // A server that goes away must not end the process by an unheard 'error' event.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
