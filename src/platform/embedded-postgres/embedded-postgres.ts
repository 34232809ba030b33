import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { codeOf, connectAsPresence, isInUse, isRefusal } from './clients';
import { type Cluster, SUPERUSER, openCluster } from './cluster';
import { EmbeddedPostgresError } from './host';
import { type Server, findServer } from './lock';
import { type Launch, hasLostLock, lastLogLines, launchServer, stopServer } from './server';

export { EmbeddedPostgresError };

const DATABASE = 'holdfast';
const POLL_MS = 50;
/** Long enough for the recovery after a crash. */
const START_TIMEOUT_MS = 60_000;
/** How long the backends of a killed server may hold on to its shared memory. */
const LOCK_PATIENCE_MS = 15_000;
const RELAUNCH_MS = 250;
const MAX_FAILURES = 3;
const MAX_REFUSALS = 20;

const DUPLICATE_DATABASE = '42P04';
const UNIQUE_VIOLATION = '23505';

export interface EmbeddedPostgres {
  /** `postgres://…` for the database `holdfast` on 127.0.0.1. */
  readonly url: string;
  /** Stops the server and waits until it is gone, unless somebody else uses it. Close your own connections first. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  dataDir: string;
  /** Server settings, as in postgresql.conf; without effect on a server that runs already. */
  settings?: Record<string, string>;
}

/** A server that let us in, and the connection that proves it. */
interface Joined {
  readonly server: Server;
  readonly presence: Client;
}

/**
 * Gives a PostgreSQL whose data live in `<dataDir>/database`: the one that runs there already, left behind by a killed
 * process or shared with a living one, or else a new one. Throws `EmbeddedPostgresError`.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    const cluster = await openCluster(options.dataDir);
    const { server, presence } = await joinOrLaunch(cluster, options.settings ?? {});
    let left: Promise<void> | undefined;
    const stop = (): Promise<void> => (left ??= leave(cluster, server, presence));
    await prepare(presence).catch(async (error: unknown) => {
      await stop();
      throw error;
    });
    return { url: `postgres://${SUPERUSER}:${cluster.password}@127.0.0.1:${server.port}/${DATABASE}`, stop };
  } catch (cause) {
    if (cause instanceof EmbeddedPostgresError) {
      throw cause;
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EmbeddedPostgresError(`The database in ${options.dataDir} cannot be started: ${reason}`, { cause });
  }
}

async function joinOrLaunch(cluster: Cluster, settings: Record<string, string>): Promise<Joined> {
  const attempt = new Attempt(cluster, settings);
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const joined = await attempt.next();
    if (joined) {
      return joined;
    }
    await sleep(POLL_MS);
  }
  const log = await lastLogLines(cluster);
  const seconds = START_TIMEOUT_MS / 1000;
  throw new EmbeddedPostgresError(`The database in ${cluster.dir} accepts no connections after ${seconds} s; ${log}`);
}

/**
 * Asks the lock file again and again until a server lets us in. That covers one that is still recovering or just
 * shutting down, a second process that starts one at the same moment, and a port that somebody else was given.
 */
class Attempt {
  private readonly startedAt = Date.now();
  private launch?: Launch;
  private failures = 0;
  private refusals = 0;

  constructor(
    private readonly cluster: Cluster,
    private readonly settings: Record<string, string>,
  ) {}

  async next(): Promise<Joined | undefined> {
    const server = await findServer(this.cluster.dir);
    if (server) {
      return this.join(server);
    }
    if (!this.launch || this.launch.hasEnded) {
      await this.start();
    }
    return undefined;
  }

  private async join(server: Server): Promise<Joined | undefined> {
    const presence = await connectAsPresence(this.cluster, server).catch((error: unknown) => error);
    if (presence instanceof Client) {
      return { server, presence };
    }
    this.refusals += Number(isRefusal(presence));
    if (this.refusals < MAX_REFUSALS) {
      return undefined;
    }
    if (server.pid === this.launch?.pid) {
      await stopServer(this.cluster, server);
    }
    throw new EmbeddedPostgresError(
      `The database in ${this.cluster.dir} refuses the password that is stored beside it.`,
    );
  }

  private async start(): Promise<void> {
    if (this.launch) {
      await this.forgive(this.launch);
    }
    this.launch = await launchServer(this.cluster, this.settings);
  }

  /** A lost race for the lock is tried again with patience, any other failure only some times. */
  private async forgive(failed: Launch): Promise<void> {
    const isRaceLost = Date.now() - this.startedAt < LOCK_PATIENCE_MS && (await hasLostLock(this.cluster, failed));
    if (isRaceLost) {
      await sleep(RELAUNCH_MS);
      return;
    }
    this.failures += 1;
    if (this.failures === MAX_FAILURES) {
      throw await describeFailure(this.cluster, failed);
    }
  }
}

async function describeFailure(cluster: Cluster, launch: Launch): Promise<EmbeddedPostgresError> {
  const reason = launch.spawnError ?? (await lastLogLines(cluster));
  return new EmbeddedPostgresError(`The database server of ${cluster.dir} does not start: ${reason}`);
}

async function prepare(presence: Client): Promise<void> {
  const found = await presence.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
  if (!found.rowCount) {
    await presence.query(`CREATE DATABASE ${DATABASE}`).catch((error: unknown) => {
      if (![DUPLICATE_DATABASE, UNIQUE_VIOLATION].includes(codeOf(error))) {
        throw error;
      }
    });
  }
  // It says that this process lives, so it must not be what keeps it alive. @types/pg does not know the method.
  (presence as Client & { unref(): void }).unref();
}

async function leave(cluster: Cluster, server: Server, presence: Client): Promise<void> {
  // Not awaited: being unref'ed, it could let the process end here.
  void presence.end().catch(() => undefined);
  if (!(await isInUse(cluster, server))) {
    await stopServer(cluster, server);
  }
}
