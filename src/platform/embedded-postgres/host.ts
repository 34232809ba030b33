import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

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

export interface ToolResult {
  readonly ok: boolean;
  readonly output: string;
}

interface ToolOptions {
  cwd?: string;
  account?: Account | undefined;
  stdin?: number;
  /** A file that gets the output, for a tool that leaves a process behind which goes on writing. */
  outputFile?: number;
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

/**
 * Runs a tool to its end; that it cannot be started at all is a result like any other. It has a session of its own, so
 * that a terminal's Ctrl-C does not reach it: we stop what we have started, in our order.
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
 * What our children are handed of the environment, and nothing else: it holds our secrets, which an account without
 * rights could read in /proc, and PGDATA, PGPORT and the like, which are meant for somebody's other server.
 */
function serverEnvironment(): NodeJS.ProcessEnv {
  // Windows writes PATH as Path.
  const inherited = Object.entries(process.env).filter(([name]) => INHERITED.has(name.toUpperCase()));
  return { ...Object.fromEntries(inherited), LC_ALL: 'C' };
}

/**
 * Makes `target` with all that `fill` puts into it, or not at all: killed half way it leaves a draft that nobody uses.
 * `marker` is a file that tells a filled folder.
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
      // Another process may have been faster, and its folder is as good.
      if (!existsSync(join(target, marker))) {
        throw new EmbeddedPostgresError(`${target} has no ${marker} and cannot be replaced.`, { cause });
      }
    });
    await syncFolder(dirname(target));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Without it a power cut could take back a rename after transactions in the folder were confirmed. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform !== 'win32') {
    const folder = await open(path);
    await folder.sync().finally(() => folder.close());
  }
}
