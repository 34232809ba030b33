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
    const stop = () => (left ??= leave(cluster, server, presence));
    await prepare(presence).catch(async (error: unknown) => {
      await stop();
      throw error;
    });
    return { url: `postgres://${SUPERUSER}:${cluster.password}@127.0.0.1:${server.port}/${DATABASE}`, stop };
  } catch (cause) {
    if (cause instanceof EmbeddedPostgresError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EmbeddedPostgresError(`The database in ${options.dataDir} cannot be started: ${reason}`, { cause });
  }
}

/**
 * Asks the lock file again and again until a server lets us in. That covers one that is still recovering or just
 * shutting down, a second process that starts one at the same moment, and a port that somebody else was given.
 */
async function joinOrLaunch(cluster: Cluster, settings: Record<string, string>): Promise<Joined> {
  const startedAt = Date.now();
  const elapsed = () => Date.now() - startedAt;
  let launch: Launch | undefined;
  let failures = 0;
  let refusals = 0;
  while (elapsed() < START_TIMEOUT_MS) {
    const server = await findServer(cluster.dir);
    if (server) {
      const presence = await connectAsPresence(cluster, server).catch((error: unknown) => error);
      if (presence instanceof Client) return { server, presence };
      if (isRefusal(presence) && ++refusals === MAX_REFUSALS) throw await giveUp(cluster, server, launch);
    } else if (!launch || launch.hasEnded) {
      const isRaceLost = launch && elapsed() < LOCK_PATIENCE_MS && (await hasLostLock(cluster, launch));
      if (launch && !isRaceLost && ++failures === MAX_FAILURES) throw await describeFailure(cluster, launch);
      if (isRaceLost) await sleep(RELAUNCH_MS);
      launch = await launchServer(cluster, settings);
    }
    await sleep(POLL_MS);
  }
  throw new EmbeddedPostgresError(
    `The database in ${cluster.dir} accepts no connections after ${START_TIMEOUT_MS / 1000} s; ` +
      (await lastLogLines(cluster)),
  );
}

async function giveUp(cluster: Cluster, server: Server, launch: Launch | undefined): Promise<EmbeddedPostgresError> {
  if (server.pid === launch?.pid) await stopServer(cluster, server);
  return new EmbeddedPostgresError(`The database in ${cluster.dir} refuses the password that is stored beside it.`);
}

async function describeFailure(cluster: Cluster, launch: Launch): Promise<EmbeddedPostgresError> {
  const reason = launch.spawnError ?? (await lastLogLines(cluster));
  return new EmbeddedPostgresError(`The database server of ${cluster.dir} does not start: ${reason}`);
}

async function prepare(presence: Client): Promise<void> {
  const found = await presence.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
  if (!found.rowCount) {
    await presence.query(`CREATE DATABASE ${DATABASE}`).catch((error: unknown) => {
      if (![DUPLICATE_DATABASE, UNIQUE_VIOLATION].includes(codeOf(error))) throw error;
    });
  }
  // It says that this process lives, so it must not be what keeps it alive. @types/pg does not know the method.
  (presence as Client & { unref(): void }).unref();
}

async function leave(cluster: Cluster, server: Server, presence: Client): Promise<void> {
  // Not awaited: being unref'ed, it could let the process end here.
  void presence.end().catch(() => undefined);
  if (!(await isInUse(cluster, server))) await stopServer(cluster, server);
}
