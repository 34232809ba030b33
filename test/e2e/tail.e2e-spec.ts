import { Api } from '../support/api';
import { createDatabase, type TestDatabase } from '../support/database';
import { happen } from '../support/event-stream';
import { dataOf } from '../support/factories';
import { Build, type Running } from '../support/program';
import { until } from '../support/race';
import { JWT_SECRET, unique } from '../support/test-app';

const ADMIN = { ADMIN_EMAIL: 'boss@example.com', ADMIN_PASSWORD: 'correct horse battery' };
const NO_LIMITS = { RATE_LIMIT_PER_MINUTE: '0', LOGIN_RATE_LIMIT_PER_MINUTE: '0' };
const LINE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z {2}(\S+) +(\S+) ([0-9a-f-]{36}) {2}((user|system):\S+)$/;

let build: Build;
let database: TestDatabase;
let service: Running;
let url: string;
let admin: Api;
const runs: Running[] = [];

beforeAll(async () => {
  [build, database] = [await Build.make(), await createDatabase()];
  [service, url] = await serve('0');
  const { access_token: token, user } = await logIn();
  admin = new Api(url, { id: user.id, token });
}, 60_000);
afterEach(async () => {
  await Promise.all(runs.splice(0).map((run) => run.end('SIGKILL')));
});
afterAll(async () => {
  await service?.end();
  await database?.drop();
});

async function serve(port: string): Promise<[Running, string]> {
  const settings = { PORT: port, DATABASE_URL: database.url, JWT_SECRET, ...ADMIN, LOG_LEVEL: 'error', ...NO_LIMITS };
  const running = build.start('main.js', [], settings);
  return [running, await running.address()];
}

async function logIn(): Promise<{ access_token: string; user: { id: string } }> {
  const credentials = { email: ADMIN.ADMIN_EMAIL, password: ADMIN.ADMIN_PASSWORD };
  return dataOf(await new Api(url).post('/api/auth/login', credentials));
}

/** Starts `npm run tail` as it is compiled, with these variables and no others. */
function tail(args: string[], env: Record<string, string> = { HOLDFAST_URL: url, ...ADMIN }): Running {
  const run = build.start('tail.command.js', args, env);
  runs.push(run);
  return run;
}

const linesOf = ({ stdout }: Running): string[] => stdout.split('\n').slice(0, -1);

async function hasPrinted(run: Running, lines: number): Promise<string[]> {
  await until(async () => linesOf(run).length >= lines, `it prints ${lines} lines; it says: ${run.stderr}`);
  return linesOf(run);
}

/** Waits until the service has a stream open. */
async function untilConnected(): Promise<void> {
  const isOpen = async (): Promise<boolean> => /^holdfast_event_streams 1$/m.test((await admin.get('/metrics')).text);
  await until(isOpen, 'it is connected');
}

async function make(): Promise<{ id: string }> {
  return dataOf(await admin.post('/api/products', { sku: unique('SKU'), name: 'Mug', price: '1.00' }));
}

describe('npm run tail', () => {
  it('prints each event as it happens, in one line without colours, and ends with Ctrl-C', async () => {
    const run = tail([]);
    await untilConnected();
    const { id } = await make();
    const [line] = await hasPrinted(run, 1);
    expect(LINE.exec(line!)?.slice(1, 5)).toEqual(['product.created', 'product', id, `user:${admin.userId}`]);
    expect([await run.end('SIGINT'), run.stderr]).toEqual([0, '']);
  });

  it('prints what is asked for, with a token, as lines of JSON that are the events', async () => {
    await make();
    const args = ['--json', '--after', 'beginning', '--types', 'product.created,product.updated'];
    const run = tail(args, { HOLDFAST_URL: `${url}/`, HOLDFAST_TOKEN: admin.token });
    const listed = async (): Promise<object[]> =>
      dataOf(await admin.get('/api/events?after=beginning&types=product.created'));
    await until(async () => linesOf(run).length === (await listed()).length, 'it prints all that there is');
    expect(linesOf(run).map((line) => JSON.parse(line) as object)).toEqual(await listed());
  });

  it('goes on after the last event when the service was killed, and says so', async () => {
    const run = tail(['--json', '--types', 'order.created']);
    await untilConnected();
    const before = await happen({ database }, 3);
    await hasPrinted(run, 3);
    await service.end('SIGKILL');
    const meanwhile = await happen({ database }, 4);
    await until(async () => run.stderr.includes('trying again'), 'it notices');
    [service] = await serve(new URL(url).port);
    const printed = await hasPrinted(run, 7);
    const after = await happen({ database }, 1);
    await hasPrinted(run, 8);
    const ids = linesOf(run).map((line) => (JSON.parse(line) as { id: string }).id);
    expect([printed.length, ids.sort()]).toEqual([7, [...before, ...meanwhile, ...after].sort()]);
    expect(await run.end('SIGTERM')).toBe(0);
    expect(run.stderr).toMatch(/^(The connection to the service fails \(\w+\)|The service has ended [^\n]+).*$/m);
  });

  it('explains itself', async () => {
    const run = tail(['--help'], {});
    expect([await run.exited, run.stdout, run.stderr]).toEqual([0, expect.stringContaining('--types'), '']);
  });

  it.each<[string, string[], Record<string, string>, RegExp]>([
    ['an unknown argument', ['--follow'], {}, /--follow/],
    ['no credentials', [], {}, /HOLDFAST_TOKEN or ADMIN_PASSWORD must be set/],
    ['an address that is none', [], { HOLDFAST_URL: 'localhost' }, /HOLDFAST_URL must be/],
    ['nobody there', [], { HOLDFAST_URL: 'http://127.0.0.1:2', HOLDFAST_TOKEN: 'x' }, /service fails \(ECONNREFUSED\)/],
    ['a token that is none', [], { HOLDFAST_TOKEN: 'x' }, /answers 401: /],
    ['a wrong password', [], { ADMIN_PASSWORD: 'some wrong password' }, /answers 401: /],
    ['an unknown type', ['--types', 'order.eaten'], ADMIN, /answers 400: types/],
    ['a cursor that is none', ['--after', 'nonsense'], ADMIN, /answers 400: The cursor/],
  ])('ends in one line with %s', async (_, args, env, message) => {
    const run = tail(args, { HOLDFAST_URL: url, ...env });
    expect([await run.exited, run.stdout]).toEqual([1, '']);
    expect(run.stderr).toMatch(/^The tail failed\. [^\n]+\n$/);
    expect(run.stderr).toMatch(message);
  });
});
