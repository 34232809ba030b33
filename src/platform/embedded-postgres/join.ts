import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { connectAsPresence, isRefusal } from './clients';
import type { Cluster } from './cluster';
import { EmbeddedPostgresError } from './host';
import { findServer, type Server } from './lock';
import { hasLostLock, lastLogLines, type Launch, launchServer, type Settings, stopServer } from './server';

const POLL_MS = 50;
/** Long enough for the recovery after a crash. */
const START_TIMEOUT_MS = 60_000;
/** How long the backends of a killed server may hold on to its shared memory. */
const LOCK_PATIENCE_MS = 15_000;
const RELAUNCH_MS = 250;
const MAX_FAILURES = 3;
const MAX_REFUSALS = 20;

/** A server that let us in, and the connection that proves it. */
export interface Joined {
  readonly server: Server;
  readonly presence: Client;
}

/**
 * Joins the server that runs on the cluster, or starts one: on this port, or on a free one.
 * @throws EmbeddedPostgresError
 */
export async function joinOrLaunch(cluster: Cluster, settings: Settings, port?: number): Promise<Joined> {
  const attempt = new Attempt(cluster, settings, port);
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
    private readonly settings: Settings,
    private readonly port?: number,
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
    this.launch = await launchServer(this.cluster, this.settings, this.port);
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
