import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Client } from 'pg';
import { type Account, findServerAccount } from '../../src/platform/embedded-postgres/host';
import { until } from './race';

/** Debian keeps it where only root looks. */
const env = { ...process.env, PATH: `${process.env['PATH']}${delimiter}/usr/sbin` };
/** Fewer sessions than the service has connections: each of these is served by whichever is free. */
export const SESSIONS = 4;

/** What `docs/pooler.md` says to do at the database. */
export function roleSettings(databaseUrl: string): string {
  const settings = { default_transaction_read_only: 'on', lock_timeout: '3s', statement_timeout: '10s', jit: 'off' };
  const role = `ALTER ROLE CURRENT_USER IN DATABASE ${new URL(databaseUrl).pathname.slice(1)}`;
  return Object.entries(settings)
    .map(([name, value]) => `${role} SET ${name} = '${value}';`)
    .join(' ');
}

/** The version of the PgBouncer of this machine, as 1.18; undefined, and a line that says so, if there is none. */
export function installedPgBouncer(): number[] | undefined {
  try {
    const said = execFileSync('pgbouncer', ['--version'], { env, encoding: 'utf8' });
    return /^PgBouncer (\d+)\.(\d+)/.exec(said)!.slice(1).map(Number);
  } catch {
    process.stderr.write('PgBouncer is not installed (apt-get install pgbouncer): its tests are skipped.\n');
    return undefined;
  }
}

/** A PgBouncer of our own in transaction mode, in front of a server. */
export class PgBouncer {
  private constructor(
    private readonly folder: string,
    private readonly account: Account | undefined,
    private readonly direct: URL,
    private readonly port: number,
    private child: ChildProcess,
  ) {}

  /** @param settings of its section [pgbouncer], beside those that every test needs */
  static async before(databaseUrl: string, settings: Record<string, string | number> = {}): Promise<PgBouncer> {
    const direct = new URL(databaseUrl);
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-pgbouncer-'));
    const [account, port] = [await findServerAccount(folder), await freePort()];
    const quoted = [direct.username, direct.password].map((word) => `"${decodeURIComponent(word)}"`);
    const all = {
      ...{ listen_addr: '127.0.0.1', listen_port: port, unix_socket_dir: '' },
      ...{ auth_type: 'scram-sha-256', auth_file: join(folder, 'users') },
      ...{ pool_mode: 'transaction', default_pool_size: SESSIONS, server_login_retry: 1, query_wait_timeout: 10 },
      ...{ admin_users: decodeURIComponent(direct.username) },
      ...settings,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
    const databases = `* = host=${direct.hostname} port=${direct.port || 5432}`;
    await write(join(folder, 'users'), `${quoted.join(' ')}\n`, account);
    await write(join(folder, 'ini'), `[databases]\n${databases}\n[pgbouncer]\n${lines.join('\n')}\n`, account);
    if (account) {
      await chown(folder, account.uid, account.gid);
    }
    const pgbouncer = new PgBouncer(folder, account, direct, port, launch(folder, account));
    await pgbouncer.listens();
    return pgbouncer;
  }

  /** The database's address, by way of this. */
  get url(): string {
    const url = new URL(this.direct);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.toString();
  }

  /** It opens new ones, which have what the role sets now. */
  async forgetSessions(): Promise<void> {
    const console = new Client(Object.assign(new URL(this.url), { pathname: '/pgbouncer' }).toString());
    await console.connect();
    await console.query('RECONNECT');
    await console.end();
  }

  /** At once, as when its machine is lost. */
  async kill(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once('close', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }

  /** Starts it again, at the same address. */
  async comeBack(): Promise<void> {
    this.child = launch(this.folder, this.account);
    await this.listens();
  }

  async end(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async listens(): Promise<void> {
    const answers = async (): Promise<boolean> => {
      const client = new Client(this.url);
      client.on('error', () => undefined);
      return client.connect().then(
        () => client.end().then(() => true),
        () => false,
      );
    };
    await until(answers, 'PgBouncer lets clients in');
  }
}

function launch(folder: string, account: Account | undefined): ChildProcess {
  return spawn('pgbouncer', ['-q', join(folder, 'ini')], { ...account, env, cwd: folder, stdio: 'ignore' });
}

async function write(file: string, text: string, account: Account | undefined): Promise<void> {
  await writeFile(file, text, { mode: 0o600 });
  if (account) {
    await chown(file, account.uid, account.gid);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
