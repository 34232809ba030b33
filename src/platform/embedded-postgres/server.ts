import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, dataDirectoryArgument } from './cluster';
import { EmbeddedPostgresError, runProgram, serverEnvironment } from './host';
import { type Server, disownStaleLock, isServerOf } from './lock';

/** SQLSTATE `lock_file_exists`. */
const LOCK_FILE_EXISTS = 'F0001';
const LOG_TAIL_BYTES = 4096;
const LOG_TAIL_LINES = 6;
const FAST_SHUTDOWN_SECONDS = 30;
const IMMEDIATE_SHUTDOWN_SECONDS = 5;

/** One try to start a server. That it ended need not be a failure: another server may have been faster. */
export interface Launch {
  readonly pid: number | undefined;
  hasEnded: boolean;
  spawnError?: string;
}

/** Server settings, as in postgresql.conf. */
export type Settings = Record<string, string>;

/** Starts a server, on a free port if none is given, in a session of its own: a terminal's Ctrl-C does not reach it. */
export async function launchServer(cluster: Cluster, settings: Settings, port?: number): Promise<Launch> {
  const args = serverArguments(cluster, settings, port ?? (await findFreePort()));
  const env = { ...serverEnvironment(), ...(await disownStaleLock(cluster.dir)) };
  const log = await open(cluster.logFile, 'a', 0o600);
  try {
    const child = spawn(join(cluster.bin, 'postgres'), args, {
      ...cluster.account,
      cwd: cluster.dir,
      env,
      detached: true,
      windowsHide: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    child.unref();
    const launch: Launch = { pid: child.pid, hasEnded: false };
    child.once('exit', () => (launch.hasEnded = true));
    child.once('error', (error) => Object.assign(launch, { hasEnded: true, spawnError: error.message }));
    return launch;
  } finally {
    await log.close();
  }
}

/** Whether it ended because another server, or the last backends of a killed one, hold the cluster. */
export async function hasLostLock(cluster: Cluster, launch: Launch): Promise<boolean> {
  return (await readLogTail(cluster)).includes(`[${launch.pid}] ${LOCK_FILE_EXISTS} `);
}

export async function lastLogLines(cluster: Cluster): Promise<string> {
  const lines = (await readLogTail(cluster)).trim().split('\n').slice(-LOG_TAIL_LINES);
  return `the last lines of ${cluster.logFile} are\n${lines.join('\n')}`;
}

/** Open transactions are rolled back, what is committed is on disk; a server that is gone already is fine. */
export async function stopServer(cluster: Cluster, server: Server): Promise<void> {
  if (process.platform === 'win32') {
    const args = ['stop', '-m', 'fast', '-t', String(FAST_SHUTDOWN_SECONDS), '-D', cluster.dir];
    await runProgram(join(cluster.bin, 'pg_ctl'), args);
  } else {
    await signalAndWait(cluster, server, 'SIGINT', FAST_SHUTDOWN_SECONDS);
    await signalAndWait(cluster, server, 'SIGQUIT', IMMEDIATE_SHUTDOWN_SECONDS);
  }
  if (!(await isServerOf(server.pid, cluster.dir))) {
    return;
  }
  throw new EmbeddedPostgresError(`The database server ${server.pid} of ${cluster.dir} does not stop.`);
}

async function signalAndWait(cluster: Cluster, server: Server, signal: NodeJS.Signals, seconds: number): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  if (await isServerOf(server.pid, cluster.dir)) {
    sendSignal(server.pid, signal);
  }
  while (Date.now() < deadline && (await isServerOf(server.pid, cluster.dir))) {
    await sleep(20);
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ESRCH') {
      return;
    }
    throw new EmbeddedPostgresError(`The database server ${pid} may not be stopped by this user.`, { cause });
  }
}

function serverArguments(cluster: Cluster, settings: Settings, port: number): string[] {
  const all = {
    ...settings,
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    logging_collector: 'off',
    log_destination: 'stderr',
    log_line_prefix: '%m [%p] %e ',
  };
  const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return ['-D', dataDirectoryArgument(cluster), ...options];
}

function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}

async function readLogTail(cluster: Cluster): Promise<string> {
  const log = await open(cluster.logFile, 'r');
  try {
    const { size } = await log.stat();
    const start = Math.max(0, size - LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await log.read(Buffer.alloc(LOG_TAIL_BYTES), 0, LOG_TAIL_BYTES, start);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await log.close();
  }
}
