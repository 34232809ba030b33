import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transformSync } from '@swc/core';
import { Client } from 'pg';
import {
  type EmbeddedPostgres,
  EmbeddedPostgresError,
  startEmbeddedPostgres,
} from '../../src/platform/embedded-postgres/embedded-postgres';
import { runProgram } from '../../src/platform/embedded-postgres/host';

const SOURCES = join(__dirname, '../../src/platform/embedded-postgres');

describe('embedded PostgreSQL', () => {
  let dataDir: string;
  let started: EmbeddedPostgres[];
  let children: ChildProcess[];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'holdfast-database-'));
    started = [];
    children = [];
  });

  afterEach(async () => {
    for (const child of children) {
      child.kill('SIGKILL');
    }
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
    const child = await spawnHolder(dataDir);
    children.push(child.process);
    await query(child.url, 'CREATE TABLE kept AS SELECT 1 AS id');
    child.process.kill('SIGKILL');
    await once(child.process, 'exit');

    const successor = await start();
    expect(successor.url).toBe(child.url);
    expect(await query(successor.url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
    await successor.stop();
    expect(isServerAlive(dataDir)).toBe(false);
  });

  it('brings a server that was killed back by itself, where everybody looks for it', async () => {
    const { url } = await start();
    await query(url, 'CREATE TABLE kept AS SELECT 1 AS id');
    const killed = serverPid(dataDir);
    process.kill(killed, 'SIGKILL');
    await expect(untilAnswered(url, 'SELECT id FROM kept')).resolves.toEqual([{ id: 1 }]);
    expect(serverPid(dataDir)).not.toBe(killed);
  });

  it('starts again after the server itself was killed, with every committed row', async () => {
    const first = await start({});
    await query(first.url, 'CREATE TABLE kept AS SELECT 1 AS id');
    process.kill(serverPid(dataDir), 'SIGKILL');

    const second = await start({});
    expect(await query(second.url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
  });

  it('is not kept from starting by a lock file that names a living stranger, or nobody', async () => {
    const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    children.push(stranger);
    await (await start()).stop();
    const lockFile = join(dataDir, 'database/cluster/postmaster.pid');
    for (const pid of [stranger.pid, process.pid, 4_190_000]) {
      await writeFile(lockFile, `${pid}\n${dataDir}\n1700000000\n5432\n\n127.0.0.1\n`, { mode: 0o666 });
      const database = await start();
      expect(await query(database.url, 'SELECT 1 AS id')).toEqual([{ id: 1 }]);
      await database.stop();
    }
  });

  it('has one server when two start at once, on an empty folder and on an existing one', async () => {
    for (const folder of ['empty', 'existing']) {
      const databases = await Promise.all([start(), start()]);
      expect([folder, databases[0].url]).toEqual([folder, databases[1].url]);
      await Promise.all(databases.map((database) => database.stop()));
      expect(isServerAlive(dataDir)).toBe(false);
    }
    expect(readdirSync(dataDir)).toEqual(['database']);
  });

  it('leaves the server to whoever else uses it', async () => {
    const [first, second] = [await start(), await start()];
    await first.stop();
    const client = new Client({ connectionString: second.url });
    await client.connect();
    await second.stop();
    expect((await client.query('SELECT 1 AS id')).rows).toEqual([{ id: 1 }]);
    await client.end();

    await (await start()).stop();
    expect(isServerAlive(dataDir)).toBe(false);
  });

  describe('in an environment with secrets', () => {
    const SECRETS = { JWT_SECRET: 'a secret for nobody else', ADMIN_PASSWORD: 'another', PGDATA: '/nowhere' };
    const HANDED_DOWN = /^(PATH|(DY)?LD_LIBRARY_PATH|TZ|LC_ALL)$/;
    beforeEach(() => {
      Object.assign(process.env, SECRETS);
    });
    afterEach(() => {
      for (const name of Object.keys(SECRETS)) {
        delete process.env[name];
      }
    });

    it('hands the programs that it runs what they need, and nothing else', async () => {
      const { output } = await runProgram(process.execPath, ['-p', 'Object.keys(process.env).join()']);
      expect(output.split(',').filter((name) => !HANDED_DOWN.test(name))).toEqual([]);
      expect(output).toContain('PATH');
    });

    // Elsewhere there is no /proc to read the environment of the server from; it is made in the same way.
    (existsSync('/proc/self/environ') ? it : it.skip)('has a server that knows nothing of them', async () => {
      await start();
      const environment = readFileSync(`/proc/${serverPid(dataDir)}/environ`, 'utf8');
      const names = environment.split('\0').map((entry) => entry.split('=')[0]!);
      expect(names).toContain('PATH');
      expect(names.filter((name) => name && !HANDED_DOWN.test(name))).toEqual([]);
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

/** A process of its own that starts the database and then waits to be killed. */
async function spawnHolder(dataDir: string): Promise<{ process: ChildProcess; url: string }> {
  const code = join(dataDir, 'code');
  await mkdir(code);
  for (const name of readdirSync(SOURCES).filter((file) => file.endsWith('.ts'))) {
    const source = readFileSync(join(SOURCES, name), 'utf8');
    const javascript = transformSync(source, {
      jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
      module: { type: 'commonjs' },
    });
    await writeFile(join(code, name.replace(/ts$/, 'js')), javascript.code);
  }
  const script = `require(${JSON.stringify(join(code, 'embedded-postgres.js'))})
    .startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, settings: { fsync: 'off' } })
    .then(({ url }) => { console.log(url); setInterval(() => {}, 1000); });`;
  const env = { ...process.env, NODE_PATH: join(__dirname, '../../node_modules') };
  const child = spawn(process.execPath, ['-e', script], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { process: child, url: line.toString().trim() };
}

function serverPid(dataDir: string): number {
  return parseInt(readFileSync(join(dataDir, 'database/cluster/postmaster.pid'), 'utf8'), 10);
}

function isServerAlive(dataDir: string): boolean {
  if (!existsSync(join(dataDir, 'database/cluster/postmaster.pid'))) {
    return false;
  }
  try {
    return process.kill(serverPid(dataDir), 0);
  } catch {
    return false;
  }
}
