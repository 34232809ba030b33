import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkSessions, DatabaseUnreachable } from '../../src/platform/database/start-checks';
import { Api } from '../support/api';
import { monthFromNow, monthsOf } from '../support/audit-months';
import { createDatabase, databaseUrl, type TestDatabase } from '../support/database';
import { dataOf } from '../support/factories';
import { Build, type Running } from '../support/program';
import { until, untilWaiting } from '../support/race';
import { unique } from '../support/test-app';

jest.setTimeout(90_000);

let build: Build;
let folder: string;
let runs: Running[];
/** The program as a process of its own, with these variables and no others. */
const start = (env: Record<string, string>): Running => {
  const run = build.start('main.js', [], { PORT: '0', DATA_DIR: join(folder, 'data'), ...env }, folder);
  runs.push(run);
  return run;
};

beforeAll(async () => {
  build = await Build.make();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-startup-'));
  runs = [];
});
afterEach(async () => {
  await Promise.all(runs.map((run) => run.end()));
  await rm(folder, { recursive: true, force: true });
});

/** Logs in as an administrator who exists from the start. */
const ADMIN = { ADMIN_EMAIL: 'boss@example.com', ADMIN_PASSWORD: 'correct horse battery' };
async function logIn(address: string, email = ADMIN.ADMIN_EMAIL, password = ADMIN.ADMIN_PASSWORD): Promise<Api> {
  const { access_token: token, user } = dataOf(await new Api(address).post('/api/auth/login', { email, password }));
  return new Api(address, { id: user.id, token });
}

async function aMug(admin: Api): Promise<{ id: string }> {
  return dataOf(await admin.post('/api/products', { sku: unique('SKU'), name: 'Mug', price: 1, initial_stock: 3 }));
}

describe('A start that cannot succeed', () => {
  async function expectRefusal(env: Record<string, string>, line: RegExp): Promise<void> {
    const run = start(env);
    expect(await run.exited).toBe(1);
    expect(run.stderr).toMatch(/^Holdfast did not start\. [^\n]+\n$/);
    expect(run.stderr).toMatch(line);
    expect(run.stdout + run.stderr).not.toMatch(/^\s+at |geheim/m);
  }

  it('ends with 1 and one line when a setting is wrong', () =>
    expectRefusal({ PORT: 'eighty' }, /PORT must be an integer number/));

  it('ends with 1 and one line when the database cannot be reached', () => {
    const url = 'postgres://u:geheim@127.0.0.1:1/x';
    return expectRefusal({ DATABASE_URL: url }, /DATABASE_URL: cannot connect to 127\.0\.0\.1:1\/x: /);
  });

  it('ends with 1 and one line when the port is taken', async () => {
    const database = await createDatabase();
    const other = createServer();
    await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening));
    const { port } = other.address() as AddressInfo;
    await expectRefusal(
      { DATABASE_URL: database.url, PORT: String(port) },
      new RegExp(`PORT: ${port} on 127\\.0\\.0\\.1 is taken`),
    );
    await new Promise((closed) => other.close(closed));
    await database.drop();
  });

  it.each([
    [
      'host',
      () => 'postgres://u:geheim@nowhere.invalid/x',
      /^DATABASE_URL: cannot connect to nowhere\.invalid\/x: .+$/,
    ],
    ['database', () => databaseUrl('no_such_database'), /^DATABASE_URL: .*no_such_database/],
  ])('says of an unknown %s in one line that it cannot be reached', async (_, url, line) => {
    const error = await checkSessions(url(), { requestTimeoutMs: 15_000 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DatabaseUnreachable);
    expect((error as Error).message).toMatch(line);
    expect((error as Error).message).not.toMatch(/geheim|\n/);
  });
});

describe('Processes that start at once', () => {
  let database: TestDatabase;
  afterEach(async () => {
    await Promise.all(runs.map((run) => run.end()));
    await database.drop();
  });

  const passwordsOf = (started: Running[]): string[] =>
    started.flatMap((run) => [...run.stdout.matchAll(/Password +(\S+)/g)].map(([, password]) => password!));

  it('all come up on an empty database, with one administrator, and end with 0 although clients stay connected', async () => {
    database = await createDatabase({ template: 'template0' });
    const started = [0, 1, 2].map(() => start({ DATABASE_URL: database.url }));
    const addresses = await Promise.all(started.map((run) => run.address()));
    const passwords = passwordsOf(started);
    expect(passwords).toHaveLength(1);
    for (const address of addresses) {
      const admin = await logIn(address, 'admin@holdfast.local', passwords[0]);
      expect((await admin.get('/api/admin/reconciliation')).status).toBe(200);
    }
    expect(await database.query('SELECT email, role FROM users')).toEqual([
      { email: 'admin@holdfast.local', role: 'admin' },
    ]);
    expect(await database.query("SELECT code FROM warehouses WHERE code = 'MAIN'")).toHaveLength(1);
    const signals = ['SIGTERM', 'SIGINT', 'SIGTERM'] as const;
    expect(await Promise.all(started.map((run, index) => run.end(signals[index])))).toEqual([0, 0, 0]);
    expect(started.map((run) => run.stderr)).toEqual(['', '', '']);
  });

  it('all come up when none of them found the administrator', async () => {
    database = await createDatabase();
    const client = await database.pool.connect();
    // Whoever looks sees no administrator, and whoever makes one waits.
    await client.query('BEGIN; LOCK TABLE users IN SHARE MODE');
    const started = [0, 1].map(() => start({ DATABASE_URL: database.url }));
    // Two programs start at once, from nothing.
    await untilWaiting(database, 2, 30);
    await client.query('COMMIT');
    client.release();
    const [address] = await Promise.all(started.map((run) => run.address()));
    const passwords = passwordsOf(started);
    expect(passwords).toHaveLength(1);
    await logIn(address!, 'admin@holdfast.local', passwords[0]);
  }, 60_000);
});

describe('A process in production', () => {
  let database: TestDatabase;
  let month: string;
  let run: Running;
  let admin: Api;
  beforeAll(async () => {
    database = await createDatabase();
    month = await monthFromNow(database, 0);
    await database.query(`DROP TABLE audit_logs_${month}`);
    const settings = { RESERVATION_TTL_SECONDS: '1', CLEANUP_CRON: '* * * * *' };
    run = build.start('main.js', [], {
      ...{ NODE_ENV: 'production', JWT_SECRET: 'x'.repeat(32), PORT: '0', DATABASE_URL: database.url },
      ...{ ...settings, ...ADMIN },
    });
    admin = await logIn(await run.address());
  });
  afterAll(async () => {
    await run.end();
    await database.drop();
  });

  it('has made the months of the audit log that were missing', async () => {
    expect(await monthsOf(database)).toContain(month);
  });

  it('sweeps when a hold ends, long before the schedule says so', async () => {
    const { id: product_id } = await aMug(admin);
    const order = dataOf(await admin.post('/api/orders', { items: [{ product_id, quantity: 1 }] }));
    const cancelled = async (): Promise<boolean> =>
      dataOf(await admin.get('/api/orders?status=cancelled')).length === 1;
    await until(cancelled, 'it is cancelled');
    const [step] = dataOf(await admin.get(`/api/orders/${order.id}/history`));
    expect(Date.parse(step.at) - Date.parse(order.expires_at)).toBeLessThan(1000);
  });

  it('answers what is in flight before SIGTERM ends it with 0', async () => {
    const { id: product_id } = await aMug(admin);
    const client = await database.pool.connect();
    await client.query('BEGIN');
    await client.query('SELECT 1 FROM stock_levels WHERE product_id = $1 FOR UPDATE', [product_id]);
    const inFlight = admin.post('/api/reservations', { product_id, quantity: 1, ttl_seconds: 600 });
    await untilWaiting(database, 1);

    run.child.kill('SIGTERM');
    await run.wrote(/stopping/);
    await client.query('COMMIT');
    client.release();
    const reply = await inFlight;
    expect([reply.status, await run.exited, run.stderr]).toEqual([201, 0, '']);
    const levels = await database.query('SELECT available, reserved FROM stock_levels WHERE product_id = $1', [
      product_id,
    ]);
    expect(levels).toEqual([{ available: 2, reserved: 1 }]);
  });

  it('has said in lines of the log where it serves, and printed no password', async () => {
    const lines = run.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'ready', address: expect.stringMatching(/^http:/) }));
    for (const line of lines) {
      expect(line).toMatchObject({ level: expect.any(String), time: expect.stringMatching(/Z$/) });
    }
    expect(run.stdout).not.toContain(ADMIN.ADMIN_PASSWORD);
  });
});

describe('The embedded database', () => {
  it('is stopped too when the start is interrupted before it is done', async () => {
    const postmaster = join(folder, 'data', 'database', 'cluster', 'postmaster.pid');
    const run = start(ADMIN);
    await until(async () => existsSync(postmaster), 'the database was started');
    expect(run.stdout).toBe('');
    expect(await run.end()).toBe(0);
    expect(existsSync(postmaster)).toBe(false);
  });

  it('is for one service and the commands beside it, and survives a kill -9 with what was done, tokens too', async () => {
    const service = start(ADMIN);
    const admin = await logIn(await service.address());
    const product = await aMug(admin);
    await expectRefusedBeside(service);

    expect(await service.end('SIGKILL')).toBeNull();
    const next = start(ADMIN);
    const again = new Api(await next.address(), { id: admin.userId, token: admin.token });
    expect(dataOf(await again.get(`/api/products/${product.id}`))).toMatchObject({
      id: product.id,
      available_stock: 3,
    });
    expect(dataOf(await again.get('/api/auth/me'))).toMatchObject({ id: admin.userId, role: 'admin' });
    expect(dataOf(await again.get('/api/admin/reconciliation'))).toMatchObject({ ok: true });
    expect([await next.end(), next.stderr]).toEqual([0, '']);
    expect(existsSync(join(folder, 'data', 'database', 'cluster', 'postmaster.pid'))).toBe(false);
  });

  async function expectRefusedBeside(service: Running): Promise<void> {
    const second = start(ADMIN);
    const cleanup = build.start('cleanup.command.js', [], { DATA_DIR: join(folder, 'data') }, folder);
    runs.push(cleanup);
    expect([await second.exited, second.stderr]).toEqual([
      1,
      `Holdfast did not start. The database in ${folder}/data is in use by process ${service.child.pid}: ` +
        'stop that first, or set DATA_DIR to another folder.\n',
    ]);
    expect([await cleanup.exited, cleanup.stdout]).toEqual([0, 'Expired 0 overdue reservations.\n']);
  }
});
