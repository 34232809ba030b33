import { createDatabase, rowCounts, type TestDatabase } from '../support/database';
import { dataOf, expectReconciled } from '../support/factories';
import type { Running } from '../support/program';
import { until, whileLocked } from '../support/race';
import { ARGUMENTS, createSeededDatabase, SeedProgram, wrongMovements } from '../support/seeds';
import { startTestApp, type TestApp } from '../support/test-app';

jest.setTimeout(120_000);

let program: SeedProgram;
beforeAll(async () => {
  program = await SeedProgram.compile();
});

/** One number for all that must be the same for the same arguments: nothing but the end of pending holds is not. */
async function checksum(database: TestDatabase): Promise<object> {
  const [row] = await database.query<object>(`
    SELECT
      (SELECT sum(hashtextextended(orders::text, 0)) FROM orders) AS orders,
      (SELECT sum(hashtextextended(order_items::text, 0)) FROM order_items) AS items,
      (SELECT sum(hashtextextended(order_status_changes::text, 0)) FROM order_status_changes) AS changes,
      (SELECT sum(hashtextextended(stock_movements::text, 0)) FROM stock_movements) AS movements,
      (SELECT sum(hashtextextended(stock_levels::text, 0)) FROM stock_levels) AS levels,
      (SELECT sum(hashtextextended(concat(id, actor, action, object_id, request_id, created_at), 0)) FROM audit_logs) AS audit`);
  return row!;
}

describe('The same seed', () => {
  let first: TestDatabase;
  let second: TestDatabase;
  beforeAll(async () => {
    [first, second] = await Promise.all([createSeededDatabase(), createDatabase()]);
    await program.run(second);
  });
  afterAll(() => Promise.all([first.drop(), second.drop()]));

  it('makes the same on another database', async () => {
    expect(await checksum(second)).toEqual(await checksum(first));
  });

  it('adds nothing where it has been already', async () => {
    const [sums, counts] = [await checksum(first), await rowCounts(first)];
    await program.run(first);
    expect(await rowCounts(first)).toEqual(counts);
    expect(await checksum(first)).toEqual(sums);
  });

  it('makes another past beside the first if it is called with other arguments', async () => {
    await program.run(second, [...ARGUMENTS, '--rng-seed', '2']);
    expect(await rowCounts(second)).toMatchObject({ orders: 4000, products: 40 });
    const app = await startTestApp({}, second);
    await expectReconciled(app);
    await app.close();
    const [row] = await second.query<{ amounts: number }>(`
      SELECT count(DISTINCT total)::int AS amounts FROM (
        SELECT sum(total_amount) AS total FROM orders JOIN users ON users.id = user_id GROUP BY split_part(email, '@', 2)
      ) AS shop`);
    expect(row).toEqual({ amounts: 2 });
  });
});

describe('A seed that is interrupted', () => {
  const args = [...ARGUMENTS, '--batch', '150'];
  let test: TestApp;
  let whole: TestDatabase;
  let run: Running;
  beforeEach(async () => {
    [test, whole] = await Promise.all([startTestApp(), createDatabase()]);
  });
  afterEach(async () => {
    await run.end('SIGKILL');
    await Promise.all([test.close(), whole.drop()]);
  });

  /** Runs a seed until it has written some batches and is in the middle of the next. Says what to do there. */
  async function inTheMiddle(act: (seeding: Running) => Promise<unknown>): Promise<void> {
    run = program.start(test.database, args);
    const { exited } = run;
    await until(async () => run.stderr.split('\n').length > 3, 'it has written some batches');
    const lock = { sql: 'LOCK TABLE stock_movements IN SHARE MODE', meanwhile: () => act(run) };
    await whileLocked(test.database, lock, () => exited);
  }

  async function orders(): Promise<number> {
    return (await rowCounts(test.database))['orders']!;
  }

  it('leaves whole batches when it is killed, and goes on when it is called again', async () => {
    await inTheMiddle((seeding) => seeding.end('SIGKILL'));
    const made = await orders();
    expect(made).toBeGreaterThanOrEqual(300);
    expect(made).toBeLessThan(2000);
    await expectReconciled(test);
    expect(await wrongMovements(test.database)).toEqual([]);
    expect(dataOf(await test.anonymous.get('/api/products'))).toEqual([]);

    await program.run(test.database, args);
    await program.run(whole, args);
    expect(await checksum(test.database)).toEqual(await checksum(whole));
    await expectReconciled(test);
    expect(await wrongMovements(test.database)).toEqual([]);
    expect(dataOf(await test.anonymous.get('/api/products'))).toHaveLength(20);
  });

  it('ends its batch at Ctrl-C, and says how far it is', async () => {
    await inTheMiddle(async ({ child }) => child.kill('SIGINT'));
    expect(await run.exited).toBe(1);
    const made = Number(
      /Interrupted: (\d+) of 2000 orders are there; .* --end 2026-11-01 goes on\.\n$/.exec(run.stderr)![1],
    );
    expect(await orders()).toBe(made);
    await expectReconciled(test);
  });
});

describe('A seed that is refused', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());

  async function expectRefusal(args: string[], line: RegExp, env: Record<string, string> = {}): Promise<void> {
    const before = await rowCounts(database);
    const run = program.start(database, args, env);
    expect(await run.exited).toBe(1);
    expect(run.stderr).toMatch(/^The seed failed\. [^\n]+\n$/);
    expect(run.stderr).toMatch(line);
    expect(run.stdout).toBe('');
    expect(await rowCounts(database)).toEqual(before);
  }

  it.each<[string[], RegExp]>([
    [[], /--orders must be a whole number from 1 to 10000000$/m],
    [['--ordres', '9'], /--ordres/],
  ])('names the argument and the rule: %j', (args, line) => expectRefusal(args, line));

  it('is for production only with --force', async () => {
    const production = { NODE_ENV: 'production', JWT_SECRET: 'a secret that only the tests know, 32+' };
    await expectRefusal(ARGUMENTS, /NODE_ENV is production: only --force/, production);
    const { stdout } = await program.run(database, ['--orders', '7', '--force'], production);
    expect(stdout).toMatch(/^7 orders /);
    expect(await rowCounts(database)).toMatchObject({ orders: 7 });
  });
});
