import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { type Cluster, openCluster, urlOf } from './cluster';
import { EmbeddedPostgresError } from './host';
import { connectOrStart, type Settings, stopServer } from './server';

export { EmbeddedPostgresError };

const DATABASE = 'holdfast';
/** The lock of a killed process may be released a moment after its death. */
const LOCK_TIMEOUT_MS = 2000;
const RESTART_PAUSE_MS = 1000;
const LOCK_NOT_AVAILABLE = '55P03';

export interface EmbeddedPostgres {
  /** `postgres://…` for the database `holdfast` on 127.0.0.1. */
  readonly url: string;
  /**
   * Stops the server and waits until it has ended, unless another process owns it. Close your own connections first.
   */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  dataDir: string;
  /** Server settings, as in postgresql.conf; ignored by a server that is already running. */
  settings?: Settings;
  /** If another process owns the server, use it while it runs, instead of refusing to start. */
  mayShare?: boolean;
}

/**
 * Starts a PostgreSQL with its data in `<dataDir>/database`, or takes over one that a killed process has left running.
 * While this process uses it, it is restarted if it dies, and other processes are refused.
 * @throws EmbeddedPostgresError
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { dataDir, settings = {}, mayShare = false } = options;
  try {
    const cluster = await openCluster(dataDir);
    const { server, client } = await connectOrStart(cluster, settings);
    const url = urlOf(cluster, server.port, DATABASE);
    const owner = await findOtherOwner(client);
    if (owner === undefined) {
      const owned = new OwnedServer(cluster, settings, server.port);
      await owned.begin(client);
      return { url, stop: () => owned.stop() };
    }
    await client.end();
    if (!mayShare) {
      throw new EmbeddedPostgresError(
        `The database in ${dataDir} is in use by ${owner}: stop that first, or set DATA_DIR to another folder.`,
      );
    }
    return { url, stop: async () => undefined };
  } catch (cause) {
    if (cause instanceof EmbeddedPostgresError) {
      throw cause;
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EmbeddedPostgresError(`The database in ${dataDir} cannot be started: ${reason}`, { cause });
  }
}

/** The server while our connection holds its lock, which gives us the right to restart and stop it. */
class OwnedServer {
  private isStopping = false;
  private restarting: Promise<void> = Promise.resolve();
  private stopping?: Promise<void>;

  constructor(
    private readonly cluster: Cluster,
    private readonly settings: Settings,
    private readonly port: number,
  ) {}

  async begin(client: Client): Promise<void> {
    this.watch(client);
    try {
      const found = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
      if (!found.rowCount) {
        await client.query(`CREATE DATABASE ${DATABASE}`);
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  stop(): Promise<void> {
    this.isStopping = true;
    this.stopping ??= this.restarting.then(() => stopServer(this.cluster));
    return this.stopping;
  }

  private watch(client: Client): void {
    client.once('end', () => {
      this.restarting = this.restart();
    });
  }

  /** Restarts on the same port, where our pools expect it, and tries again until that works. */
  private async restart(): Promise<void> {
    while (!this.isStopping) {
      try {
        const { client } = await connectOrStart(this.cluster, this.settings, this.port);
        if ((await findOtherOwner(client)) === undefined) {
          this.watch(client);
          return;
        }
        await client.end();
      } catch {
        // The server's log says why.
      }
      await sleep(RESTART_PAUSE_MS);
    }
  }
}

/** Takes the lock that makes this process the owner of the server, or returns which process holds it. */
async function findOtherOwner(client: Client): Promise<string | undefined> {
  try {
    await client.query(`SET lock_timeout = ${LOCK_TIMEOUT_MS}; SELECT pg_advisory_lock(1)`);
    return undefined;
  } catch (error) {
    if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE) {
      throw error;
    }
  }
  const found = await client.query<{ owner: string }>(
    `SELECT application_name AS owner FROM pg_locks JOIN pg_stat_activity USING (pid)
      WHERE locktype = 'advisory' AND pg_locks.database = datid AND granted`,
  );
  return found.rows[0]?.owner ?? 'another process';
}
