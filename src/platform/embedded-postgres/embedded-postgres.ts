import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { codeOf, isInUse } from './clients';
import { type Cluster, openCluster, SUPERUSER } from './cluster';
import { EmbeddedPostgresError } from './host';
import { type Joined, joinOrLaunch } from './join';
import { type Settings, stopServer } from './server';

export { EmbeddedPostgresError };

const DATABASE = 'holdfast';
const REJOIN_PAUSE_MS = 1000;

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
  settings?: Settings;
}

/**
 * Gives a PostgreSQL whose data live in `<dataDir>/database`: the one that runs there already, left behind by a killed
 * process or shared with a living one, or else a new one. Throws `EmbeddedPostgresError`.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    const cluster = await openCluster(options.dataDir);
    const settings = options.settings ?? {};
    const joined = await joinOrLaunch(cluster, settings);
    const membership = new Membership(cluster, settings, joined);
    await prepare(joined.presence).catch(async (error: unknown) => {
      await membership.end();
      throw error;
    });
    membership.begin();
    const url = `postgres://${SUPERUSER}:${cluster.password}@127.0.0.1:${joined.server.port}/${DATABASE}`;
    return { url, stop: () => membership.end() };
  } catch (cause) {
    if (cause instanceof EmbeddedPostgresError) {
      throw cause;
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EmbeddedPostgresError(`The database in ${options.dataDir} cannot be started: ${reason}`, { cause });
  }
}

/** That this process uses the server, from joining it to leaving it: a server that dies meanwhile is started again. */
class Membership {
  private ended?: Promise<void>;
  private rejoining: Promise<void> = Promise.resolve();

  constructor(
    private readonly cluster: Cluster,
    private readonly settings: Settings,
    private joined: Joined,
  ) {}

  /** From now on the server is started again if it dies. To be called when the presence has nothing else to do. */
  begin(): void {
    const { presence } = this.joined;
    // It says that this process lives, so it must not be what keeps it alive. @types/pg does not know the method.
    (presence as Client & { unref(): void }).unref();
    presence.once('end', () => {
      this.rejoining = this.ended ? this.rejoining : this.rejoin();
    });
  }

  /** Stops the server if nobody else uses it. */
  end(): Promise<void> {
    this.ended ??= this.leave();
    return this.ended;
  }

  /** On the same port, where everybody's pools look for it. As long as that fails it is tried again. */
  private async rejoin(): Promise<void> {
    while (!this.ended) {
      try {
        this.joined = await joinOrLaunch(this.cluster, this.settings, this.joined.server.port);
        this.begin();
        return;
      } catch {
        await sleep(REJOIN_PAUSE_MS, undefined, { ref: false });
      }
    }
  }

  private async leave(): Promise<void> {
    await this.rejoining;
    const { server, presence } = this.joined;
    // Not awaited: being unref'ed, it could let the process end here.
    void presence.end().catch(() => undefined);
    if (!(await isInUse(this.cluster, server))) {
      await stopServer(this.cluster, server);
    }
  }
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
}
