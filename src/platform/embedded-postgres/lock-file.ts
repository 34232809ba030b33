import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from './host';

const FRESH_MS = 1_000;

export interface Server {
  readonly pid: number;
  readonly port: number;
}

/** The living server that holds the cluster's lock file, whoever started it; it may not accept connections yet. */
export async function findServer(dir: string): Promise<Server | undefined> {
  const text = await readFile(lockFileOf(dir), 'utf8').catch(() => '');
  const [pid, , , port] = text.split('\n').map((line) => parseInt(line, 10));
  return pid && port && (await isServerOf(pid, dir)) ? { pid, port } : undefined;
}

/** Process ids are used again after a reboot, so a living process with the right id is not yet the server. */
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
 * To be called when no server was found. PostgreSQL does not start beside a file that names a living process, which
 * after a reboot can be a stranger, or a zombie, or nobody. Its shared memory keeps it from starting beside sessions of
 * a killed server. A fresh file is left alone: another process may be starting a server.
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

/** PostgreSQL works in its data directory; a zombie, which still has its id, works nowhere. */
async function isWorkingIn(pid: number, dir: string): Promise<boolean> {
  const [cwd, cluster] = await Promise.all(
    [`/proc/${pid}/cwd`, dir].map((path) => stat(path, { bigint: true }).catch(() => undefined)),
  );
  return cwd !== undefined && cwd.dev === cluster?.dev && cwd.ino === cluster.ino;
}
