import { TransactionRunner } from '../../src/platform/database/transaction-runner';
import type { UnitOfWork } from '../../src/platform/database/unit-of-work';
import { IdempotencyKey } from '../../src/platform/idempotency/idempotency-key.entity';
import { createDatabase, type TestDatabase } from '../support/database';
import { DatabaseProxy, type Fate } from '../support/database-proxy';
import { until, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const TABLES = `
  CREATE TABLE counters (name text PRIMARY KEY, value int NOT NULL DEFAULT 0);
  INSERT INTO counters (name) VALUES ('one'), ('other'), ('gate')`;

const BUSY_SESSIONS = `
  SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'holdfast' AND state <> 'idle'`;

const BEGIN = ['START TRANSACTION', 'SET TRANSACTION READ WRITE'];

const ADD = 'UPDATE counters SET value = value + 1 WHERE name = $1';
const FAIL = `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$`;

/** At once, and waited for. */
const add = ({ tx }: UnitOfWork, name: string): Promise<unknown> => tx.query(ADD, [name]);
const queue = (unit: UnitOfWork, ...names: string[]): void => names.forEach((name) => unit.execute(ADD, [name]));

describe('What a unit of work has queued', () => {
  let database: TestDatabase;
  let proxy: DatabaseProxy;
  let test: TestApp;
  let transactions: TransactionRunner;
  beforeAll(async () => {
    database = await createDatabase();
    proxy = await DatabaseProxy.before(database.url);
    await database.query(TABLES);
    test = await startTestApp({ DATABASE_POOL_SIZE: '2', LOG_LEVEL: 'fatal' }, { ...database, url: proxy.url });
    transactions = test.app.get(TransactionRunner, { strict: false });
  });
  beforeEach(async () => {
    await database.query('UPDATE counters SET value = 0');
    proxy.statements.length = 0;
  });
  // Whatever went wrong, the connections that are left have no transaction open.
  afterEach(async () =>
    expect(await transactions.run(async ({ tx }) => tx.query('SELECT 1 AS works'))).toHaveLength(1),
  );
  afterAll(async () => {
    await test.close();
    await proxy.close();
    await database.drop();
  });

  const values = async (): Promise<Record<string, number>> => {
    const rows = await database.query<{ name: string; value: number }>('SELECT name, value FROM counters');
    return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
  };
  const UNTOUCHED = { one: 0, other: 0, gate: 0 };

  it('is committed, and COMMIT is sent without waiting for what they say', async () => {
    const sent = proxy.next('COMMIT', 'arrives');
    const lock = { sql: `SELECT FROM counters WHERE name = 'gate' FOR UPDATE`, meanwhile: () => sent };
    const result = await whileLocked(database, lock, () =>
      transactions.run(async (unit) => {
        await add(unit, 'one');
        queue(unit, 'gate', 'other');
        return 'done';
      }),
    );
    expect([result, await values()]).toEqual(['done', { one: 1, other: 1, gate: 1 }]);
    expect(proxy.statements).toEqual([...BEGIN, 'COMMIT']);
  });

  it('rolls back everything if one of them fails, whose error it is then', async () => {
    const effects: string[] = [];
    const failing = transactions.run(async (unit) => {
      unit.afterCommit(() => effects.push('counted'));
      await add(unit, 'one');
      queue(unit, 'other');
      unit.execute('SELECT 1 / 0', []);
      queue(unit, 'gate');
    });
    await expect(failing).rejects.toThrow('division by zero');
    expect([await values(), effects]).toEqual([UNTOUCHED, []]);
  });

  it('is tried again with the whole work after a serialization failure of one of them', async () => {
    let attempts = 0;
    await transactions.run(async (unit) => {
      attempts += 1;
      queue(unit, 'one');
      if (attempts === 1) {
        unit.execute(FAIL, []);
      }
    });
    expect([attempts, await values()]).toEqual([2, { ...UNTOUCHED, one: 1 }]);
  });

  it('is sent only when the work is done, with what was queued before others were waited for', async () => {
    await transactions.run(async (unit) => {
      queue(unit, 'one');
      await add(unit, 'other');
      expect(await unit.tx.query(`SELECT value FROM counters WHERE name = 'one'`)).toEqual([{ value: 0 }]);
      queue(unit, 'gate');
    });
    expect(await values()).toEqual({ one: 1, other: 1, gate: 1 });
  });

  it('is rolled back, and COMMIT is never sent, if some of it cannot be sent', async () => {
    const effects: string[] = [];
    const circular: { self?: object } = {};
    circular.self = circular;
    const failing = transactions.run(async (unit) => {
      unit.afterCommit(() => effects.push('counted'));
      await add(unit, 'one');
      queue(unit, 'other');
      unit.insert(IdempotencyKey, [{ caller: 'ada', body: circular }]);
    });
    await expect(failing).rejects.toThrow(/circular/);
    expect([await values(), effects]).toEqual([UNTOUCHED, []]);
    expect(proxy.statements).toEqual([...BEGIN, 'ROLLBACK']);
  });

  describe('when their transaction could not begin', () => {
    it.each<[string, (unit: UnitOfWork) => Promise<unknown>]>([
      ['the first that follows', (unit) => add(unit, 'one').then(() => add(unit, 'other'))],
      ['those that follow a read', (unit) => unit.tx.query('SELECT 1').then(() => add(unit, 'one'))],
      ['those that are sent with COMMIT', async (unit) => queue(unit, 'one', 'other')],
    ])('change nothing, and the work fails: %s', async (_, work) => {
      const failed = proxy.next('START TRANSACTION', 'fails');
      await expect(transactions.run(work)).rejects.toThrow();
      await failed;
      expect(await values()).toEqual(UNTOUCHED);
    });

    it.each<Fate>(['answer is lost', 'client is cut'])('change nothing when its %s', async (fate) => {
      const lost = proxy.next('START TRANSACTION', fate);
      const failing = transactions.run(async (unit) => {
        await add(unit, 'one');
        queue(unit, 'gate', 'other');
      });
      await expect(failing).rejects.toMatchObject({ code: 'database_unavailable' });
      await lost;
      await until(async () => (await database.query(BUSY_SESSIONS)).length === 0, 'the server has done what it got');
      expect(await values()).toEqual(UNTOUCHED);
    });
  });
});
