import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Where programs and libraries are, and the time zone. The second line is required on Windows. */
const INHERITED = new Set([
  ...['PATH', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'TZ'],
  ...['SYSTEMROOT', 'COMSPEC', 'TEMP', 'TMP'],
]);

/** Why the embedded database cannot start or stop, in words for the person at the terminal. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface ToolResult {
  readonly ok: boolean;
  readonly output: string;
}

interface ToolOptions {
  cwd?: string;
  account?: Account | undefined;
  stdin?: number;
  /** A file for the output, for a tool that leaves a process running which keeps writing. */
  outputFile?: number;
}

/** PostgreSQL refuses to run as root, so root runs it as an unprivileged account; other users run it themselves. */
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

/**
 * Runs a tool to its end; a tool that cannot be started is an ordinary result too. It gets its own session, so that
 * Ctrl-C in the terminal does not reach it: we stop our processes ourselves, in our order.
 */
export function runTool(tool: string, args: string[], options: ToolOptions = {}): Promise<ToolResult> {
  return new Promise((resolve) => {
    const target = options.outputFile ?? 'pipe';
    const child = spawn(tool, args, {
      ...options.account,
      cwd: options.cwd,
      env: serverEnvironment(),
      detached: true,
      windowsHide: true,
      stdio: [options.stdin ?? 'ignore', target, target],
    });
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('error', (error) => resolve({ ok: false, output: error.message }));
    child.once('close', (code) => resolve({ ok: code === 0, output: output.trim() }));
  });
}

/**
 * The only variables that child processes get. The rest of the environment holds our secrets, which the unprivileged
 * account could read in /proc, and PGDATA, PGPORT and the like, which are meant for another server.
 */
function serverEnvironment(): NodeJS.ProcessEnv {
  // Windows writes PATH as Path.
  const inherited = Object.entries(process.env).filter(([name]) => INHERITED.has(name.toUpperCase()));
  return { ...Object.fromEntries(inherited), LC_ALL: 'C' };
}

/**
 * Creates `target` with everything that `fill` puts into it, or not at all: if the process is killed, an unused draft
 * remains. `marker` is a file that every complete folder has.
 */
export async function createFolder(
  target: string,
  marker: string,
  fill: (draft: string) => Promise<void>,
): Promise<void> {
  if (existsSync(join(target, marker))) {
    return;
  }
  const draft = await mkdtemp(`${target}.draft-`);
  try {
    await fill(draft);
    await rename(draft, target).catch((cause: unknown) => {
      // Another process may have been faster; then its folder is used.
      if (!existsSync(join(target, marker))) {
        throw new EmbeddedPostgresError(`${target} has no ${marker} and cannot be replaced.`, { cause });
      }
    });
    await syncFolder(dirname(target));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Without it a power cut could undo a rename after transactions in the folder were committed. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform !== 'win32') {
    const folder = await open(path);
    await folder.sync().finally(() => folder.close());
  }
}
