import { appendFile, cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Client } from 'pg';
import { type Cluster, openCluster, urlOf } from '../../../src/platform/embedded-postgres/cluster';
import { findServer, type Server } from '../../../src/platform/embedded-postgres/lock-file';
import { connectOrStart, type Settings, stopServer } from '../../../src/platform/embedded-postgres/server';
import { until } from '../../support/race';

const DATABASE = 'holdfast';

/** A PostgreSQL server of our own, with its default durability, to which everything may happen. */
export class Postgres {
  private constructor(
    private readonly folder: string,
    private readonly cluster: Cluster,
    private readonly settings: Settings,
    private server: Server,
  ) {}

  static async start(settings: Settings = {}): Promise<Postgres> {
    const postgres = await Postgres.startIn(await newFolder(), settings);
    await postgres.query(`CREATE DATABASE ${DATABASE}`, [], 'postgres');
    return postgres;
  }

  /** Two servers: the second is a standby of the first, whose every COMMIT waits until the standby has it on disk. */
  static async startPair(): Promise<{ primary: Postgres; standby: Postgres }> {
    const [folder, copy] = [await newFolder(), await newFolder()];
    // The package has no pg_basebackup; a cluster on which nothing has run yet can simply be copied.
    const { dir } = await openCluster(folder);
    await cp(folder, copy, { recursive: true });
    const primary = await Postgres.startIn(folder);
    try {
      const standby = await primary.startStandby(copy, join(copy, relative(folder, dir)));
      await primary.query(`CREATE DATABASE ${DATABASE}`, [], 'postgres');
      return { primary, standby };
    } catch (error) {
      await primary.end();
      throw error;
    }
  }

  private static async startIn(folder: string, settings: Settings = {}): Promise<Postgres> {
    const cluster = await openCluster(folder);
    return new Postgres(folder, cluster, settings, await launch(cluster, settings));
  }

  get url(): string {
    return this.urlOf(DATABASE);
  }

  /** The files of the cluster. */
  get dir(): string {
    return this.cluster.dir;
  }

  /** On a connection of its own, past the service. */
  async query<Row extends object>(sql: string, values: unknown[] = [], database = DATABASE): Promise<Row[]> {
    return this.session(async (client) => (await client.query<Row>(sql, values)).rows, database);
  }

  async session<T>(work: (client: Client) => Promise<T>, database = DATABASE): Promise<T> {
    const client = new Client({ connectionString: this.urlOf(database), application_name: 'faults' });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  /** Every process of it at once, as when the machine loses its power. */
  async kill(): Promise<void> {
    signal(await this.processes(), 'SIGKILL');
    await this.untilGone();
  }

  /** Without a checkpoint and without a goodbye to its clients. */
  async stopImmediately(): Promise<void> {
    signal([this.server.pid], 'SIGQUIT');
    await this.untilGone();
  }

  /** Starts it again, on the same port. */
  async comeBack(): Promise<void> {
    this.server = await launch(this.cluster, this.settings, this.server.port);
  }

  /** It keeps its connections, and the kernel takes new ones for it, but nothing is answered. */
  async freeze(): Promise<void> {
    // The first of them would start others.
    signal([this.server.pid], 'SIGSTOP');
    signal(await this.processes(), 'SIGSTOP');
  }

  async thaw(): Promise<void> {
    signal(await this.processes(), 'SIGCONT');
  }

  /** Makes a standby the primary; returns when it takes changes. */
  async promote(): Promise<void> {
    expect(await this.query('SELECT pg_promote() AS done', [], 'postgres')).toEqual([{ done: true }]);
  }

  /** Kills one of the service's sessions; then PostgreSQL ends all others too, and recovers as after a crash. */
  async killSession(): Promise<void> {
    const [session] = await this.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast' ORDER BY state LIMIT 1`,
    );
    signal([session!.pid], 'SIGKILL');
    const find = 'SELECT FROM pg_stat_activity WHERE pid = $1';
    const isOver = (): Promise<boolean> => this.query(find, [session!.pid]).then((rows) => rows.length === 0);
    await until(() => isOver().catch(() => false), 'it has recovered', 30);
  }

  /** Ends all sessions of the service, whose pools then are empty. */
  async endSessions(): Promise<void> {
    const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'holdfast%'`;
    // Again and again: its sweep may open one as soon as another has ended.
    const areEnded = async (): Promise<boolean> => (await this.query(end)).length === 0;
    await until(areEnded, 'the service has no session');
  }

  /** What the service's sessions do at the moment. */
  sessions(): Promise<{ name: string; state: string; wait: string | null }[]> {
    return this.query(
      `SELECT application_name AS name, state, wait_event_type AS wait FROM pg_stat_activity
       WHERE application_name LIKE 'holdfast%'`,
    );
  }

  async end(): Promise<void> {
    await this.thaw();
    await stopServer(this.cluster);
    await rm(this.folder, { recursive: true, force: true });
  }

  private async startStandby(folder: string, dir: string): Promise<Postgres> {
    const { hostname, port, username, password } = new URL(this.url);
    const primary = `host=${hostname} port=${port} user=${username} password=${password}`;
    await writeFile(join(dir, 'standby.signal'), '');
    await appendFile(join(dir, 'postgresql.auto.conf'), `primary_conninfo = '${primary}'\n`);
    const standby = await Postgres.startIn(folder);
    await this.query(`ALTER SYSTEM SET synchronous_standby_names = '*'`, [], 'postgres');
    await this.query('SELECT pg_reload_conf()', [], 'postgres');
    const find = `SELECT FROM pg_stat_replication WHERE sync_state = 'sync'`;
    await until(async () => (await this.query(find, [], 'postgres')).length > 0, 'COMMIT waits for the standby');
    return standby;
  }

  private urlOf(database: string): string {
    return urlOf(this.cluster, this.server.port, database);
  }

  private async untilGone(): Promise<void> {
    await until(async () => (await findServer(this.cluster.dir)) === undefined, 'the server is gone');
  }

  private async processes(): Promise<number[]> {
    const children = await childrenOf(this.server.pid);
    return (await findServer(this.cluster.dir)) ? [this.server.pid, ...children] : children;
  }
}

function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'holdfast-faults-'));
}

async function launch(cluster: Cluster, settings: Settings, port?: number): Promise<Server> {
  const { server, client } = await connectOrStart(cluster, settings, port);
  await client.end();
  return server;
}

/** Some of them may have ended since they were listed. */
function signal(pids: number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
        throw error;
      }
    }
  }
}

/** Each session of PostgreSQL is a process group of its own, so they are found one by one. */
async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')));
  // The name of the program stands in parentheses and may contain anything; the parent is the second word after it.
  return pids
    .filter((_, index) => Number(stats[index]!.slice(stats[index]!.lastIndexOf(')')).split(' ')[2]) === parent)
    .map(Number);
}
