import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from './host';

const FRESH_MS = 1_000;

export interface Server {
  readonly pid: number;
  readonly port: number;
}

/** The running server that holds the cluster's lock file, whoever started it; it may not accept connections yet. */
export async function findServer(dir: string): Promise<Server | undefined> {
  const text = await readFile(lockFileOf(dir), 'utf8').catch(() => '');
  const [pid, , , port] = text.split('\n').map((line) => parseInt(line, 10));
  return pid && port && (await isServerOf(pid, dir)) ? { pid, port } : undefined;
}

/** Process ids are reused after a reboot, so a live process with the right id need not be the server. */
export async function isServerOf(pid: number, dir: string): Promise<boolean> {
  if (process.platform === 'linux') {
    return isWorkingIn(pid, dir);
  }
  if (process.platform === 'win32') {
    const list = await runTool('tasklist', ['/fi', `PID eq ${pid}`, '/fo', 'csv', '/nh']);
    return list.output.includes('postgres.exe');
  }
  const command = await runTool('ps', ['-ww', '-o', 'command=', '-p', String(pid)]);
  return command.output.includes(dir);
}

/**
 * Call this when no server was found. PostgreSQL does not start if its lock file names a live process, which after a
 * reboot can be an unrelated process or a zombie. Removing the file is safe: PostgreSQL also checks its shared memory
 * and does not start while sessions of a killed server remain. A fresh file is kept: another process may be starting a
 * server.
 */
export async function removeStaleLockFile(dir: string): Promise<void> {
  const file = await stat(lockFileOf(dir)).catch(() => undefined);
  if (file && file.mtimeMs < Date.now() - FRESH_MS) {
    await rm(lockFileOf(dir), { force: true });
  }
}

function lockFileOf(dir: string): string {
  return join(dir, 'postmaster.pid');
}

/** PostgreSQL's working directory is its data directory; a zombie, which still has its id, has none. */
async function isWorkingIn(pid: number, dir: string): Promise<boolean> {
  const [cwd, cluster] = await Promise.all(
    [`/proc/${pid}/cwd`, dir].map((path) => stat(path, { bigint: true }).catch(() => undefined)),
  );
  return cwd !== undefined && cwd.dev === cluster?.dev && cwd.ino === cluster.ino;
}
