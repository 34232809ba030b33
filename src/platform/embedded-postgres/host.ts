import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const LEFTOVER_AGE_MS = 10 * 60_000;
/** Where programs and libraries are, and the time zone; and without the second line nothing starts on Windows. */
const INHERITED = new Set([
  ...['PATH', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'TZ'],
  ...['SYSTEMROOT', 'COMSPEC', 'TEMP', 'TMP'],
]);

/** What keeps the embedded database from starting or stopping, told to the person at the terminal. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface ProgramResult {
  readonly ok: boolean;
  readonly output: string;
}

/** PostgreSQL refuses to run as root, so root hands it to an account without rights; others run it themselves. */
export async function findServerAccount(clusterDir: string): Promise<Account | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    return undefined;
  }
  const owner = await stat(clusterDir).catch(() => undefined);
  if (owner && owner.uid !== 0) {
    return { uid: owner.uid, gid: owner.gid };
  }
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return findAccount(passwd, 'postgres') ?? findAccount(passwd, 'nobody') ?? { uid: 65534, gid: 65534 };
}

function findAccount(passwd: string, name: string): Account | undefined {
  const match = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, 'm').exec(passwd);
  return match ? { uid: Number(match[1]), gid: Number(match[2]) } : undefined;
}

/** Runs a program to its end; that it cannot be started at all is a result like any other. */
export function runProgram(
  program: string,
  args: string[],
  options: { cwd?: string; stdin?: number; account?: Account | undefined } = {},
): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      ...options.account,
      cwd: options.cwd,
      env: serverEnvironment(),
      stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
      windowsHide: true,
    });
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('error', (error) => resolve({ ok: false, output: error.message }));
    child.once('close', (code) => resolve({ ok: code === 0, output: output.trim() }));
  });
}

/**
 * What our children are handed of the environment, and nothing else: it holds our secrets, which an account without
 * rights could read in /proc, and PGDATA, PGPORT and the like, which are meant for somebody's other server.
 */
export function serverEnvironment(): NodeJS.ProcessEnv {
  // Windows writes PATH as Path.
  const inherited = Object.entries(process.env).filter(([name]) => INHERITED.has(name.toUpperCase()));
  return { ...Object.fromEntries(inherited), LC_ALL: 'C' };
}

/**
 * Makes `target` with all that `fill` puts into it, or not at all: killed half way it leaves only a sibling that
 * nobody uses, and of two processes at once the slower one takes the folder of the faster. `marker` is a file that
 * tells a filled folder.
 */
export async function createFolder(
  target: string,
  marker: string,
  fill: (draft: string) => Promise<void>,
): Promise<void> {
  if (await exists(join(target, marker))) {
    return;
  }
  await removeLeftovers(target);
  const draft = `${target}-${randomBytes(6).toString('hex')}`;
  try {
    await mkdir(draft, { mode: 0o700 });
    await fill(draft);
    await rename(draft, target).catch(async (cause: unknown) => {
      if (await exists(join(target, marker))) {
        return;
      }
      throw new EmbeddedPostgresError(`${target} has no ${marker} and cannot be replaced.`, { cause });
    });
    await syncFolder(dirname(target));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function removeLeftovers(target: string): Promise<void> {
  const prefix = `${basename(target)}-`;
  for (const name of await readdir(dirname(target))) {
    if (!name.startsWith(prefix) || !/^[0-9a-f]{12}$/.test(name.slice(prefix.length))) {
      continue;
    }
    const path = join(dirname(target), name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }));
    if (mtimeMs > Date.now() - LEFTOVER_AGE_MS) {
      continue;
    }
    // What another account left is not ours to remove, and no reason not to start.
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Without it a power cut could take back the rename after transactions in the folder were confirmed. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') {
    return;
  }
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}
