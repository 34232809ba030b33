import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transformSync } from '@swc/core';
import { Client } from 'pg';
import { openCluster } from '../../src/platform/embedded-postgres/cluster';
import {
  type EmbeddedPostgres,
  EmbeddedPostgresError,
  startEmbeddedPostgres,
} from '../../src/platform/embedded-postgres/embedded-postgres';
import { runTool } from '../../src/platform/embedded-postgres/host';
import { Running } from '../support/program';
import { until } from '../support/race';

const SOURCES = join(__dirname, '../../src/platform/embedded-postgres');

/** The URL of a database that a process of its own has started. */
const URL_LINE = /postgres:.*/;

describe('embedded PostgreSQL', () => {
  let fixtures: string;
  let dataDir: string;
  let started: EmbeddedPostgres[];
  let children: Running[];

  beforeAll(async () => {
    fixtures = await mkdtemp(join(tmpdir(), 'holdfast-fixtures-'));
    await compileSources(join(fixtures, 'code'));
    await openCluster(join(fixtures, 'data'));
  });
  afterAll(() => rm(fixtures, { recursive: true, force: true }));

  /** With a database that nobody has started yet: making one takes longer than all else. */
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'holdfast-database-'));
    await cp(join(fixtures, 'data'), dataDir, { recursive: true });
    started = [];
    children = [];
  });

  afterEach(async () => {
    await Promise.all(children.map((child) => child.end('SIGKILL')));
    for (const database of started) {
      await database.stop();
    }
    expect(isServerAlive(dataDir)).toBe(false);
    await rm(dataDir, { recursive: true, force: true });
  });

  async function start(settings: Record<string, string> = { fsync: 'off' }): Promise<EmbeddedPostgres> {
    const database = await startEmbeddedPostgres({ dataDir, settings });
    started.push(database);
    return database;
  }

  /** A process that starts the database and waits to be killed, in a process group of its own, as in a terminal. */
  function startElsewhere(settings: Record<string, string> = { fsync: 'off' }): Running {
    const script = `process.on('SIGINT', () => console.log('interrupted'));
      require(${JSON.stringify(join(fixtures, 'code/embedded-postgres.js'))})
        .startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, settings: ${JSON.stringify(settings)} })
        .then(({ url }) => console.log(url));`;
    const env = { ...process.env, NODE_PATH: join(__dirname, '../../node_modules') };
    const child = new Running(spawn(process.execPath, ['-e', script], { env, detached: true }));
    children.push(child);
    return child;
  }

  it('keeps its data over stop and start', async () => {
    const first = await start();
    await query(first.url, "CREATE TABLE kept AS SELECT 'été' AS word");
    await first.stop();
    await first.stop();
    expect(isServerAlive(dataDir)).toBe(false);

    const second = await start();
    expect(await query(second.url, 'SELECT upper(word) AS word FROM kept')).toEqual([{ word: 'ÉTÉ' }]);
  });

  it('takes over the server of a process that was killed', async () => {
    const holder = startElsewhere();
    const [url] = await holder.wrote(URL_LINE);
    await query(url, 'CREATE TABLE kept AS SELECT 1 AS id');
    await holder.end('SIGKILL');

    const successor = await start();
    expect(successor.url).toBe(url);
    expect(await query(url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
    await successor.stop();
    expect(isServerAlive(dataDir)).toBe(false);
  });

  it('starts again after the process and its server were killed, with every committed row', async () => {
    const holder = startElsewhere({});
    const [url] = await holder.wrote(URL_LINE);
    await query(url, 'CREATE TABLE kept AS SELECT 1 AS id');
    await holder.end('SIGKILL');
    process.kill(serverPid(dataDir), 'SIGKILL');

    const successor = await start({});
    expect(await query(successor.url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
  });

  it('goes on when Ctrl-C reaches the whole process group, while it starts and later', async () => {
    const holder = startElsewhere();
    await until(async () => existsSync(lockFile(dataDir)), 'the server is starting');
    process.kill(-holder.child.pid!, 'SIGINT');
    const [url] = await holder.wrote(URL_LINE);
    process.kill(-holder.child.pid!, 'SIGINT');
    await holder.wrote(/interrupted[^]*interrupted/);
    expect(await query(url, 'SELECT 1 AS id')).toEqual([{ id: 1 }]);
    const log = readFileSync(join(dataDir, 'database/postgres.log'), 'utf8');
    expect(log.match(/starting PostgreSQL/g)).toHaveLength(1);
    await holder.end('SIGKILL');
    // Takes it over, so that it is stopped.
    await start();
  });

  it('brings a server that was killed back by itself, where everybody looks for it', async () => {
    const { url } = await start();
    await query(url, 'CREATE TABLE kept AS SELECT 1 AS id');
    const killed = serverPid(dataDir);
    process.kill(killed, 'SIGKILL');
    await expect(untilAnswered(url, 'SELECT id FROM kept')).resolves.toEqual([{ id: 1 }]);
    expect(serverPid(dataDir)).not.toBe(killed);
  });

  it('is not kept from starting by a lock file that names a living stranger, or nobody', async () => {
    const stranger = new Running(spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']));
    children.push(stranger);
    await (await start()).stop();
    for (const pid of [stranger.child.pid, process.pid, 4_190_000]) {
      await writeFile(lockFile(dataDir), `${pid}\n${dataDir}\n1700000000\n5432\n\n127.0.0.1\n`, { mode: 0o666 });
      await utimes(lockFile(dataDir), 1_700_000_000, 1_700_000_000);
      const database = await start();
      expect(await query(database.url, 'SELECT 1 AS id')).toEqual([{ id: 1 }]);
      await database.stop();
    }
  });

  it("is one process's when two start at once, on an empty folder and on an existing one", async () => {
    const inUse = `The database in ${dataDir} is in use by process ${process.pid}: `;
    for (const folder of ['existing', 'empty']) {
      const results = await Promise.allSettled([start(), start()]);
      const refusals = results.map((result) => result.status === 'rejected' && (result.reason as Error).message);
      expect([folder, ...refusals.sort()]).toEqual([folder, expect.stringContaining(inUse), false]);
      await started.pop()!.stop();
      expect(isServerAlive(dataDir)).toBe(false);
      await rm(join(dataDir, 'database'), { recursive: true });
    }
    expect(readdirSync(dataDir)).toEqual([]);
  });

  it('is shared with who asks for that, and stopped by its owner alone', async () => {
    const owner = await start();
    const guest = await startEmbeddedPostgres({ dataDir, mayShare: true });
    expect(guest.url).toBe(owner.url);
    await guest.stop();
    expect(await query(owner.url, 'SELECT 1 AS id')).toEqual([{ id: 1 }]);
  });

  describe('in an environment with secrets', () => {
    const SECRETS = { JWT_SECRET: 'a secret for nobody else', ADMIN_PASSWORD: 'another', PGDATA: '/nowhere' };
    const HANDED_DOWN = /^(PATH|(DY)?LD_LIBRARY_PATH|TZ|LC_ALL)$/;
    /** What pg_ctl and its shell add. */
    const ADDED = /^(PGDATA|PGLOCALEDIR|PGSYSCONFDIR|PG_GRANDPARENT_PID|PWD|OLDPWD|SHLVL|_)$/;
    beforeEach(() => {
      Object.assign(process.env, SECRETS);
    });
    afterEach(() => {
      for (const name of Object.keys(SECRETS)) {
        delete process.env[name];
      }
    });

    it('hands the programs that it runs what they need, and nothing else', async () => {
      const { output } = await runTool(process.execPath, ['-p', 'Object.keys(process.env).join()']);
      expect(output.split(',').filter((name) => !HANDED_DOWN.test(name))).toEqual([]);
      expect(output).toContain('PATH');
    });

    // Elsewhere there is no /proc to read the environment of the server from; it is made in the same way.
    (existsSync('/proc/self/environ') ? it : it.skip)('has a server that knows nothing of them', async () => {
      await start();
      const environment = readFileSync(`/proc/${serverPid(dataDir)}/environ`, 'utf8');
      const names = environment.split('\0').map((entry) => entry.split('=')[0]!);
      expect(names).toContain('PATH');
      expect(names.filter((name) => name && !HANDED_DOWN.test(name) && !ADDED.test(name))).toEqual([]);
      expect(environment).not.toContain(SECRETS.PGDATA);
    });
  });

  it('tells in the error what the server said', async () => {
    const attempt = start({ shared_buffers: 'plenty' });
    await expect(attempt).rejects.toThrow(EmbeddedPostgresError);
    await expect(attempt).rejects.toThrow('invalid value for parameter "shared_buffers": "plenty"');
  });
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as unknown[];
  } finally {
    await client.end();
  }
}

/** Asks again as long as the server is away. */
async function untilAnswered(url: string, sql: string): Promise<unknown[]> {
  for (const deadline = Date.now() + 20_000; ;) {
    try {
      return await query(url, sql);
    } catch (error) {
      if (Date.now() > deadline) {
        throw error;
      }
    }
  }
}

/** What a process without Jest can load. */
async function compileSources(folder: string): Promise<void> {
  await mkdir(folder);
  for (const name of readdirSync(SOURCES).filter((file) => file.endsWith('.ts'))) {
    const source = readFileSync(join(SOURCES, name), 'utf8');
    const javascript = transformSync(source, {
      jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
      module: { type: 'commonjs' },
    });
    await writeFile(join(folder, name.replace(/ts$/, 'js')), javascript.code);
  }
}

function lockFile(dataDir: string): string {
  return join(dataDir, 'database/cluster/postmaster.pid');
}

function serverPid(dataDir: string): number {
  return parseInt(readFileSync(lockFile(dataDir), 'utf8'), 10);
}

function isServerAlive(dataDir: string): boolean {
  try {
    return process.kill(serverPid(dataDir), 0);
  } catch {
    return false;
  }
}
