import { randomUUID } from 'node:crypto';
import { type ClientRequest, request } from 'node:http';
import { metricOf } from '../support/batches';
import { createDatabase, type TestDatabase } from '../support/database';
import { anOrder, aProduct, aReservation, dataOf, stockUp } from '../support/factories';
import { type LogLine, logLines } from '../support/log-lines';
import { storm, until, untilQueued, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const PATHS = ['/api/admin/metrics', '/api/admin/reconciliation'];
const [METRICS, RECONCILIATION] = PATHS as [string, string];
const NO_DIFFERENCE = { ok: true, checked: 1, differences: [] };

let database: TestDatabase;
let test: TestApp;
let lines: LogLine[];
let calls: ClientRequest[];
/** They read everything that there is, so every test has a database of its own. */
const start = async (settings: Record<string, string> = {}): Promise<void> => {
  database = await createDatabase();
  test = await startTestApp({ LOG_LEVEL: 'info', ...settings }, database);
};
beforeEach(() => {
  lines = logLines();
  calls = [];
});
afterEach(async () => {
  // Else the application would wait for what they ask for, where a test has failed.
  calls.forEach((call) => call.destroy());
  await test.close();
  await database.drop();
  jest.restoreAllMocks();
});

describe('A read of all that there is', () => {
  it.each(PATHS)('waits for nobody who writes: %s', async (path) => {
    await start();
    await anOrder(test.aUser(), (await aProduct(test)).id, 2);
    const locks = { sql: 'SELECT FROM orders, reservations, reservation_items, stock_levels, products FOR UPDATE' };
    const read = (): Promise<unknown> => test.admin.get(path).then(dataOf);
    // While it is waited for, the locks are held: it could only fail.
    await whileLocked(test.database, { ...locks, waiters: 0, meanwhile: read }, () => Promise.resolve());
  });

  it('has of what is committed while it is under way all or nothing', async () => {
    await start();
    const { id } = await aProduct(test, { initial_stock: 10 });
    // It waits for the reservations; what it has read by then must be of the same moment as the rest.
    const lock = {
      sql: 'LOCK TABLE reservation_items IN ACCESS EXCLUSIVE MODE',
      meanwhile: () => stockUp(test, id, 5),
    };
    const reply = await whileLocked(test.database, lock, () => test.admin.get(RECONCILIATION));
    expect(dataOf(reply)).toEqual(NO_DIFFERENCE);
    expect(dataOf(await test.admin.get(METRICS)).stock.available).toBe(15);
  });

  it('may take longer than any other statement, and says in the log that it is under way', async () => {
    await start({ REQUEST_TIMEOUT_SECONDS: '5' });
    await aReservation(test.aUser(), (await aProduct(test)).id);
    // Other requests are given up after 5 seconds, and a connection on which nothing moves is closed after 10.
    await makeSlow(13);
    const requestId = randomUUID();
    expect(dataOf(await test.admin.get(RECONCILIATION, { 'X-Request-Id': requestId }))).toEqual(NO_DIFFERENCE);
    const said = lines.filter(({ msg }) => msg === 'a long read is under way');
    expect(said.length).toBeGreaterThanOrEqual(4);
    const actor = `user:${test.admin.userId}`;
    for (const line of said) {
      expect(line).toMatchObject({ request_id: requestId, actor, read: 'reconciliation' });
    }
    expect(said.at(-1)!.ms).toBeGreaterThan(7000);
  });
});

describe('A read that nobody waits for any more', () => {
  it.each(PATHS)('is cancelled in the database, and its connection is as good as before: %s', async (path) => {
    await start();
    await aProduct(test);
    await makeSlow();
    const hangUp = readAndForget(path);
    await untilAsleep(1);
    const connections = await sessions();
    hangUp();
    await untilAsleep(0);
    await until(async () => cancelled() === 1, 'it is logged');
    await makeQuick();
    expect((await storm(10, () => test.admin.get(path))).map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(await sessions()).toEqual(expect.arrayContaining(connections));
    expect(await metricOf(test, 'holdfast_database_pool_connections{state="idle"}')).toBe((await sessions()).length);
  });

  it('is not begun when its turn comes', async () => {
    await start();
    await aProduct(test);
    await makeSlow();
    const running = [readAndForget(METRICS), readAndForget(METRICS)];
    await untilAsleep(2);
    const hangUp = readAndForget(RECONCILIATION);
    await untilQueued(test, 1);
    hangUp();
    // Whoever comes after it is answered: so the service knows by now that it is gone.
    dataOf(await test.anonymous.get('/health/live'));
    running.forEach((leave) => leave());
    // Nothing would end it once it was begun.
    await until(async () => cancelled() === 3, 'all are logged');
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('takes too long after five minutes', async () => {
    await start();
    await aProduct(test);
    await makeSlow();
    const minutes = new AbortController();
    const timeout = jest.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(minutes.signal);
    const reading = test.admin.get(METRICS);
    reading.catch(() => undefined);
    await untilAsleep(1);
    expect(timeout).toHaveBeenCalledWith(300_000);
    minutes.abort();
    const { status, body, headers } = await reading;
    expect([status, body.code, headers['retry-after']]).toEqual([503, 'overloaded', '1']);
    await untilAsleep(0);
  });
});

describe('Reads of all that there is that come together', () => {
  it.each([
    ['two at a time', '10', 2],
    ['one at a time where there are two connections', '2', 1],
  ])('are done %s, the others in turn', async (_, DATABASE_POOL_SIZE, atATime) => {
    await start({ DATABASE_POOL_SIZE });
    await aProduct(test);
    await makeSlow();
    const running = await Promise.all(
      Array.from({ length: atATime }, async (_, index) => {
        const hangUp = readAndForget(METRICS);
        await untilAsleep(index + 1);
        return hangUp;
      }),
    );
    const waiting = readAndForget(RECONCILIATION);
    await untilQueued(test, 1);
    expect(await asleep()).toBe(atATime);
    running[0]!();
    await until(async () => (await metricOf(test, 'holdfast_queue_requests')) === 0, 'the next one has its turn');
    await untilAsleep(atATime);
    [...running.slice(1), waiting].forEach((leave) => leave());
    await untilAsleep(0);
  });

  it('are refused when a hundred wait', async () => {
    await start();
    await aProduct(test);
    await makeSlow();
    const leave = [readAndForget(METRICS), readAndForget(METRICS)];
    await untilAsleep(2);
    leave.push(...Array.from({ length: 100 }, () => readAndForget(RECONCILIATION)));
    await untilQueued(test, 100);
    const { status, body, headers } = await test.admin.get(METRICS);
    expect([status, body.code, headers['retry-after']]).toEqual([503, 'overloaded', '1']);
    expect(await metricOf(test, 'holdfast_overload_refusals_total')).toBe(1);
    leave.forEach((hangUp) => hangUp());
    await until(async () => cancelled() === 102, 'all are logged');
  });
});

/** Makes every statement that reads the levels take so long. */
async function makeSlow(seconds = 600): Promise<void> {
  await test.database.query('ALTER TABLE stock_levels RENAME TO quick_levels');
  await test.database.query(
    `CREATE VIEW stock_levels AS SELECT level.* FROM quick_levels AS level, pg_sleep(${seconds})`,
  );
}

async function makeQuick(): Promise<void> {
  await test.database.query('DROP VIEW stock_levels');
  await test.database.query('ALTER TABLE quick_levels RENAME TO stock_levels');
}

/** Asks for what nobody will read; gives what hangs up. */
function readAndForget(path: string): () => void {
  const headers = { Authorization: `Bearer ${test.admin.token}` };
  const call = request(`${test.url}${path}`, { agent: false, headers });
  // That it hung up itself is no surprise to the caller.
  call.on('error', () => undefined).end();
  calls.push(call);
  return () => call.destroy();
}

async function asleep(): Promise<number> {
  const [row] = await test.database.query<{ sleepers: number }>(
    `SELECT count(*)::int AS sleepers FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`,
  );
  return row!.sleepers;
}

function untilAsleep(statements: number): Promise<void> {
  return until(async () => (await asleep()) === statements, `${statements} statements sleep`);
}

function cancelled(): number {
  return lines.filter(({ msg }) => String(msg).startsWith('a long read was cancelled')).length;
}

/** The process ids of the service's connections in PostgreSQL. */
async function sessions(): Promise<number[]> {
  const rows = await test.database.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'holdfast'`,
  );
  return rows.map(({ pid }) => pid);
}
