import { randomBytes } from 'node:crypto';
import { chown, mkdir, open, readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findBinaries } from './binaries';
import { type Account, EmbeddedPostgresError, createFolder, findServerAccount, runTool } from './host';

const SUPERUSER = 'holdfast';

/** A PostgreSQL cluster on disk, and what is needed to run it. */
export interface Cluster {
  /** PGDATA. */
  readonly dir: string;
  readonly logFile: string;
  readonly password: string;
  readonly bin: string;
  readonly account: Account | undefined;
}

/** Finds the cluster in `<dataDir>/database`, or creates one; two processes at once get the same one. */
export async function openCluster(dataDir: string): Promise<Cluster> {
  await mkdir(dataDir, { recursive: true });
  const folder = join(await realpath(dataDir), 'database');
  const dir = join(folder, 'cluster');
  const account = await findServerAccount(dir);
  const bin = await findBinaries(account);
  await createFolder(folder, join('cluster', 'PG_VERSION'), (draft) => initialise(draft, bin, account));
  if (account && (await stat(dir)).uid === 0) {
    // A restored backup or `chown -R root` leaves files that the server could not open.
    await runTool('chown', ['-hR', `${account.uid}:${account.gid}`, dir]);
  }
  const password = await readFile(join(folder, 'password'), 'utf8');
  return { dir, logFile: join(folder, 'postgres.log'), password: password.trim(), bin, account };
}

/**
 * The `-D` argument of PostgreSQL. An unprivileged account may have no access to the folders above the cluster. But the
 * child enters its working directory while it is still root, and the server and its backends can keep using it.
 */
export function dataDirectoryArgument(cluster: Pick<Cluster, 'dir' | 'account'>): string {
  return cluster.account ? '/proc/self/cwd' : cluster.dir;
}

export function urlOf(cluster: Cluster, port: number, database: string): string {
  return `postgres://${SUPERUSER}:${cluster.password}@127.0.0.1:${port}/${database}`;
}

async function initialise(draft: string, bin: string, account: Account | undefined): Promise<void> {
  const dir = join(draft, 'cluster');
  const passwordFile = join(draft, 'password');
  await mkdir(dir, { mode: 0o700 });
  await writeFile(passwordFile, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600, flush: true });
  if (account) {
    await chown(dir, account.uid, account.gid);
    await chown(passwordFile, account.uid, account.gid);
  }
  const stdin = await open(passwordFile);
  try {
    const args = initdbArguments({ dir, account }, passwordFile);
    const result = await runTool(join(bin, 'initdb'), args, { cwd: dir, stdin: stdin.fd, account });
    if (!result.ok) {
      throw new EmbeddedPostgresError(`initdb failed: ${result.output}`);
    }
  } finally {
    await stdin.close();
  }
}

/** The builtin locale is the same on every platform; libc's C.UTF-8 does not exist on all of them. */
function initdbArguments(cluster: Pick<Cluster, 'dir' | 'account'>, passwordFile: string): string[] {
  return [
    `--pgdata=${dataDirectoryArgument(cluster)}`,
    `--username=${SUPERUSER}`,
    '--auth=scram-sha-256',
    `--pwfile=${cluster.account ? '/proc/self/fd/0' : passwordFile}`,
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
  ];
}
