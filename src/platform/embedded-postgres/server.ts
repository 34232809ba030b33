import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { type Cluster, dataDirectoryArgument, urlOf } from './cluster';
import { EmbeddedPostgresError, runTool, type ToolResult } from './host';
import { findServer, removeStaleLockFile, type Server } from './lock-file';

/** Long enough for the recovery after a crash. */
const START_SECONDS = 60;
const STOP_SECONDS = 30;
const CONNECT_TIMEOUT_MS = 5_000;
/** Some failures pass: another process took the free port, or sessions of a killed server still hold the cluster. */
const MAX_TRIES = 6;
const PAUSE_MS = 500;
const LOG_BYTES = 4096;

/** Server settings, as in postgresql.conf. */
export type Settings = Record<string, string>;

/** A server that accepts connections, with an open one. */
export interface Connected {
  readonly server: Server;
  readonly client: Client;
}

/** Connects to the server that runs on the cluster, or starts one on this port or on a free one. */
export async function connectOrStart(cluster: Cluster, settings: Settings, port?: number): Promise<Connected> {
  for (let tries = 1; ; tries += 1) {
    try {
      const server = (await findServer(cluster.dir)) ?? (await startServer(cluster, settings, port));
      return { server, client: await connect(cluster, server) };
    } catch (error) {
      if (tries === MAX_TRIES) {
        throw error;
      }
      await sleep(PAUSE_MS);
    }
  }
}

/** Stops the server, if one runs. Open transactions are rolled back, committed ones are on disk. */
export async function stopServer(cluster: Cluster): Promise<void> {
  if (!(await findServer(cluster.dir))) {
    return;
  }
  const { output } = await runPgCtl(cluster, ['stop', '-m', 'fast', '-t', String(STOP_SECONDS)]);
  if (await findServer(cluster.dir)) {
    throw new EmbeddedPostgresError(`The database server of ${cluster.dir} does not stop: ${output}`);
  }
}

async function startServer(cluster: Cluster, settings: Settings, port?: number): Promise<Server> {
  await removeStaleLockFile(cluster.dir);
  const options = serverOptions(settings, port ?? (await findFreePort()));
  const log = await open(cluster.logFile, 'a+', 0o600);
  try {
    const { size } = await log.stat();
    const { output } = await runPgCtl(cluster, ['start', '-t', String(START_SECONDS), '-o', options], log.fd);
    const server = await findServer(cluster.dir);
    if (!server) {
      const position = Math.max(size, (await log.stat()).size - LOG_BYTES);
      const { buffer, bytesRead } = await log.read({ buffer: Buffer.alloc(LOG_BYTES), position });
      const said = `${output}\n${buffer.toString('utf8', 0, bytesRead)}`.trim();
      throw new EmbeddedPostgresError(`The database server of ${cluster.dir} does not start: ${said}`);
    }
    return server;
  } finally {
    await log.close();
  }
}

/** pg_ctl gives the server its own session, and on Windows drops administrator rights. */
function runPgCtl(cluster: Cluster, args: string[], outputFile?: number): Promise<ToolResult> {
  const { dir, account } = cluster;
  const all = ['-s', '-w', '-D', dataDirectoryArgument(cluster), ...args];
  return runTool(join(cluster.bin, 'pg_ctl'), all, { cwd: dir, account, outputFile });
}

/** In double quotes, which the shells of all platforms understand. No setting may contain one. */
function serverOptions(settings: Settings, port: number): string {
  const ours = { listen_addresses: '127.0.0.1', port: String(port), unix_socket_directories: '' };
  return Object.entries({ ...settings, ...ours })
    .map(([name, value]) => `-c "${name}=${value}"`)
    .join(' ');
}

async function connect(cluster: Cluster, { port }: Server): Promise<Client> {
  const client = new Client({
    connectionString: urlOf(cluster, port, 'postgres'),
    ssl: false,
    application_name: `process ${process.pid}`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // If the server stops, an unhandled 'error' event must not end this process.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await once(probe.close(), 'close');
  return port;
}
