import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../src/platform/database/migrate';
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

describe('A start that cannot succeed', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());

  async function expectRefusal(env: Record<string, string>, line: RegExp): Promise<void> {
    const run = start(env);
    expect(await run.exited).toBe(1);
    expect(run.stderr).toMatch(/^Holdfast did not start\. [^\n]+\n$/);
    expect(run.stderr).toMatch(line);
    expect(run.stdout + run.stderr).not.toMatch(/^\s+at /m);
  }

  it.each<[string, Record<string, string>, RegExp]>([
    ['a setting is wrong', { PORT: 'eighty' }, /PORT must be an integer number/],
    ['production lacks its settings', { NODE_ENV: 'production', DATABASE_URL: 'postgres://localhost/x' }, /JWT_SECRET/],
    ['the address of the database is none', { DATABASE_URL: 'postgres://host:port/x' }, /DATABASE_URL must be/],
    [
      'nobody listens at the database',
      { DATABASE_URL: 'postgres://u:geheim@127.0.0.1:1/x' },
      /DATABASE_URL: cannot connect to 127\.0\.0\.1:1\/x: /,
    ],
    [
      'the host of the database is unknown',
      { DATABASE_URL: 'postgres://u:geheim@nowhere.invalid/x' },
      /DATABASE_URL: cannot connect to nowhere\.invalid\/x: /,
    ],
  ])('ends with 1 and one line that names the variable: %s', async (_, env, line) => {
    await expectRefusal(env, line);
    expect(runs[0]!.stderr).not.toContain('geheim');
  });

  it('ends with 1 and one line when the database does not exist', async () => {
    await expectRefusal({ DATABASE_URL: databaseUrl('no_such_database') }, /DATABASE_URL: .*no_such_database/);
  });

  it('ends with 1 and one line when the port is taken', async () => {
    const other = createServer();
    await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening));
    const { port } = other.address() as AddressInfo;
    await expectRefusal(
      { DATABASE_URL: database.url, PORT: String(port) },
      new RegExp(`PORT: ${port} on 127\\.0\\.0\\.1 is taken`),
    );
    await new Promise((closed) => other.close(closed));
  });
});

describe('Processes on one database', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase({ template: 'template0' });
  });
  afterEach(async () => {
    await Promise.all(runs.map((run) => run.end()));
    await database.drop();
  });

  it('all come up when several start at once on an empty one, with one administrator', async () => {
    const started = [0, 1, 2].map(() => start({ DATABASE_URL: database.url }));
    const addresses = await Promise.all(started.map((run) => run.address()));
    const passwords = started.flatMap((run) =>
      [...run.stdout.matchAll(/Password +(\S+)/g)].map(([, password]) => password!),
    );
    expect(passwords).toHaveLength(1);
    for (const address of addresses) {
      const admin = await logIn(address, 'admin@holdfast.local', passwords[0]);
      expect((await admin.get('/api/admin/reconciliation')).status).toBe(200);
    }
    expect(await database.query('SELECT email, role FROM users')).toEqual([
      { email: 'admin@holdfast.local', role: 'admin' },
    ]);
    expect(await database.query("SELECT code FROM warehouses WHERE code = 'MAIN'")).toHaveLength(1);
    expect(await Promise.all(started.map((run) => run.end()))).toEqual([0, 0, 0]);
    expect(started.map((run) => run.stderr)).toEqual(['', '', '']);
  });

  it('all come up when none of them found the administrator', async () => {
    await migrate(database.url);
    const client = await database.pool.connect();
    // Whoever looks sees no administrator, and whoever makes one waits.
    await client.query('BEGIN; LOCK TABLE users IN SHARE MODE');
    const started = [0, 1].map(() => start({ DATABASE_URL: database.url }));
    // Two programs start at once, from nothing.
    await untilWaiting(database, 2, 30);
    await client.query('COMMIT');
    client.release();
    const [address] = await Promise.all(started.map((run) => run.address()));
    const passwords = started.flatMap((run) =>
      [...run.stdout.matchAll(/Password +(\S+)/g)].map(([, password]) => password!),
    );
    expect(passwords).toHaveLength(1);
    await logIn(address!, 'admin@holdfast.local', passwords[0]);
  }, 60_000);

  it('make the months of the audit log that are missing before they serve', async () => {
    await migrate(database.url);
    const month = await monthFromNow(database, 0);
    await database.query(`DROP TABLE audit_logs_${month}`);
    await start({ DATABASE_URL: database.url }).address();
    expect(await monthsOf(database)).toContain(month);
  });

  it('answer what is in flight before SIGTERM ends them with 0', async () => {
    const run = start({ DATABASE_URL: database.url, ...ADMIN });
    const admin = await logIn(await run.address());
    const { id } = dataOf(
      await admin.post('/api/products', { sku: unique('SKU'), name: 'Mug', price: 1, initial_stock: 3 }),
    );
    const client = await database.pool.connect();
    await client.query('BEGIN');
    await client.query('SELECT 1 FROM stock_levels WHERE product_id = $1 FOR UPDATE', [id]);
    const inFlight = admin.post('/api/reservations', { product_id: id, quantity: 1 });
    await untilWaiting(database, 1);

    run.child.kill('SIGTERM');
    await run.wrote(/stopping/);
    await client.query('COMMIT');
    client.release();
    const reply = await inFlight;
    expect([reply.status, await run.exited, run.stderr]).toEqual([201, 0, '']);
    expect(await database.query('SELECT available, reserved FROM stock_levels WHERE product_id = $1', [id])).toEqual([
      { available: 2, reserved: 1 },
    ]);
  });

  it('sweep when a hold ends, long before the schedule says so', async () => {
    const settings = { RESERVATION_TTL_SECONDS: '1', CLEANUP_CRON: '* * * * *' };
    const admin = await logIn(await start({ DATABASE_URL: database.url, ...ADMIN, ...settings }).address());
    const { id: product_id } = dataOf(
      await admin.post('/api/products', { sku: unique('SKU'), name: 'Mug', price: 1, initial_stock: 3 }),
    );
    const order = dataOf(await admin.post('/api/orders', { items: [{ product_id, quantity: 1 }] }));
    const cancelled = async (): Promise<boolean> =>
      dataOf(await admin.get('/api/orders?status=cancelled')).length === 1;
    await until(cancelled, 'it is cancelled');
    const [step] = dataOf(await admin.get(`/api/orders/${order.id}/history`));
    expect(Date.parse(step.at) - Date.parse(order.expires_at)).toBeLessThan(1000);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'end with 0 on %s although a client keeps its connection open',
    async (signal) => {
      const run = start({ DATABASE_URL: database.url, ...ADMIN });
      const address = await run.address();
      expect((await fetch(`${address}/health/ready`, { keepalive: true })).status).toBe(200);
      expect(await run.end(signal)).toBe(0);
    },
  );

  it('say in production, as a line of the log, where they serve, and print no password', async () => {
    const run = start({ NODE_ENV: 'production', DATABASE_URL: database.url, JWT_SECRET: 'x'.repeat(32), ...ADMIN });
    await run.wrote(/"msg":"ready"/);
    for (const line of run.stdout.trim().split('\n')) {
      expect(JSON.parse(line)).toMatchObject({ level: expect.any(String), time: expect.stringMatching(/Z$/) });
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

  it('is for one service, and for the commands beside it', async () => {
    const service = start(ADMIN);
    const admin = await logIn(await service.address());
    const second = start(ADMIN);
    const cleanup = build.start('cleanup.command.js', [], { DATA_DIR: join(folder, 'data') }, folder);
    runs.push(cleanup);
    expect([await second.exited, second.stderr]).toEqual([
      1,
      `Holdfast did not start. The database in ${folder}/data is in use by process ${service.child.pid}: ` +
        'stop that first, or set DATA_DIR to another folder.\n',
    ]);
    expect([await cleanup.exited, cleanup.stdout]).toEqual([0, 'Expired 0 overdue reservations.\n']);
    expect((await admin.get('/api/auth/me')).status).toBe(200);
  });

  it('survives a kill -9: what was done and the tokens hold after the next start', async () => {
    const first = start(ADMIN);
    const admin = await logIn(await first.address());
    const product = dataOf(
      await admin.post('/api/products', { sku: unique('SKU'), name: 'Mug', price: 1, initial_stock: 3 }),
    );
    expect(await first.end('SIGKILL')).toBeNull();

    const second = start(ADMIN);
    const again = new Api(await second.address(), { id: admin.userId, token: admin.token });
    expect(dataOf(await again.get(`/api/products/${product.id}`))).toMatchObject({
      id: product.id,
      available_stock: 3,
    });
    expect(dataOf(await again.get('/api/auth/me'))).toMatchObject({ id: admin.userId, role: 'admin' });
    expect(dataOf(await again.get('/api/admin/reconciliation'))).toMatchObject({ ok: true });
    expect([await second.end(), second.stderr]).toEqual([0, '']);
    expect(existsSync(join(folder, 'data', 'database', 'cluster', 'postmaster.pid'))).toBe(false);
  });
});
