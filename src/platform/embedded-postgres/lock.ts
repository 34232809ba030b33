import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runProgram } from './host';

const BLANK_LOCK_FILE_AGE_MS = 5_000;

export interface Server {
  readonly pid: number;
  readonly port: number;
}

/** The living server that holds the cluster's lock file, whoever started it; it may not accept connections yet. */
export async function findServer(dir: string): Promise<Server | undefined> {
  const { pid, port } = await readLockFile(dir);
  return pid && port && (await isServerOf(pid, dir)) ? { pid, port } : undefined;
}

/** Process ids are used again after a reboot, so a living process with the right id is not yet the server. */
export async function isServerOf(pid: number, dir: string): Promise<boolean> {
  if (!isAlive(pid)) {
    return false;
  }
  if (process.platform === 'linux') {
    return isWorkingIn(pid, dir);
  }
  if (process.platform === 'win32') {
    const list = await runProgram('tasklist', ['/fi', `PID eq ${pid}`, '/fo', 'csv', '/nh']);
    return list.output.includes('postgres.exe');
  }
  const command = await runProgram('ps', ['-ww', '-o', 'command=', '-p', String(pid)]);
  return command.output.includes(dir);
}

/**
 * The environment in which PostgreSQL does not trip over a stale lock file. It refuses to start when the file names a
 * living process, except for its own relatives: pg_ctl passes the id of its shell in this variable. With the stranger's
 * id in it PostgreSQL replaces the file itself, under all its checks. A file that we remove could already be the next
 * one, of a process that was faster.
 */
export async function disownStaleLock(dir: string): Promise<NodeJS.ProcessEnv> {
  const { pid } = await readLockFile(dir);
  if (!pid) {
    await removeBlankLockFile(dir);
  }
  return pid && !(await isServerOf(pid, dir)) ? { PG_GRANDPARENT_PID: String(pid) } : {};
}

async function readLockFile(dir: string): Promise<Partial<Server>> {
  const text = await readFile(lockFileOf(dir), 'utf8').catch(() => '');
  const [pid, , , port] = text.split('\n').map((line) => parseInt(line, 10));
  return pid && pid > 0 ? { pid, port } : {};
}

/** A crash between creating the file and writing it leaves one that PostgreSQL wants a human to remove. */
async function removeBlankLockFile(dir: string): Promise<void> {
  const file = await stat(lockFileOf(dir)).catch(() => undefined);
  if (file && file.mtimeMs < Date.now() - BLANK_LOCK_FILE_AGE_MS) {
    await rm(lockFileOf(dir), { force: true });
  }
}

function lockFileOf(dir: string): string {
  return join(dir, 'postmaster.pid');
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** PostgreSQL works in its data directory; a zombie, which still has its id, works nowhere. */
async function isWorkingIn(pid: number, dir: string): Promise<boolean> {
  const [cwd, cluster] = await Promise.all(
    [`/proc/${pid}/cwd`, dir].map((path) => stat(path, { bigint: true }).catch(() => undefined)),
  );
  return cwd !== undefined && cwd.dev === cluster?.dev && cwd.ino === cluster.ino;
}
