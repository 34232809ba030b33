import { afterCommit, commitWith, TransactionRunner } from '../../src/platform/database/transaction-runner';
import type { Tx } from '../../src/platform/database/tx';
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

const add = (tx: Tx, name: string): Promise<unknown> =>
  tx.query('UPDATE counters SET value = value + 1 WHERE name = $1', [name]);

describe('Statements that share a round trip with the end of their transaction', () => {
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
  afterEach(async () => expect(await transactions.run(async (tx) => tx.query('SELECT 1 AS works'))).toHaveLength(1));
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

  it('are committed with it, and COMMIT is sent without waiting for what they say', async () => {
    const sent = proxy.next('COMMIT', 'arrives');
    const lock = { sql: `SELECT FROM counters WHERE name = 'gate' FOR UPDATE`, meanwhile: () => sent };
    const result = await whileLocked(database, lock, () =>
      transactions.run(async (tx) => {
        await add(tx, 'one');
        commitWith(tx, [add(tx, 'gate'), add(tx, 'other')]);
        return 'done';
      }),
    );
    expect([result, await values()]).toEqual(['done', { one: 1, other: 1, gate: 1 }]);
    expect(proxy.statements).toEqual([...BEGIN, 'COMMIT']);
  });

  it('roll back everything if one of them fails, whose error it is then', async () => {
    const effects: string[] = [];
    const failing = transactions.run(async (tx) => {
      afterCommit(tx, () => effects.push('counted'));
      await add(tx, 'one');
      commitWith(tx, [add(tx, 'other'), tx.query('SELECT 1 / 0'), add(tx, 'gate')]);
    });
    await expect(failing).rejects.toThrow('division by zero');
    expect([await values(), effects]).toEqual([UNTOUCHED, []]);
  });

  it('are tried again with the whole work after a serialization failure of one of them', async () => {
    const fail = `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$`;
    let attempts = 0;
    await transactions.run(async (tx) => {
      attempts += 1;
      commitWith(tx, [add(tx, 'one'), ...(attempts === 1 ? [tx.query(fail)] : [])]);
    });
    expect([attempts, await values()]).toEqual([2, { ...UNTOUCHED, one: 1 }]);
  });

  it('may be several sets, and others may be waited for in between', async () => {
    const sent = proxy.next('COMMIT', 'arrives');
    const lock = { sql: `SELECT FROM counters WHERE name = 'gate' FOR UPDATE`, meanwhile: () => sent };
    await whileLocked(database, lock, () =>
      transactions.run(async (tx) => {
        commitWith(tx, [add(tx, 'one')]);
        await add(tx, 'other');
        commitWith(tx, [add(tx, 'gate')]);
      }),
    );
    expect(await values()).toEqual({ one: 1, other: 1, gate: 1 });
    const failing = transactions.run(async (tx) => {
      commitWith(tx, [tx.query('SELECT 1 / 0')]);
      commitWith(tx, [add(tx, 'one')]);
    });
    await expect(failing).rejects.toThrow('division by zero');
    expect(await values()).toEqual({ one: 1, other: 1, gate: 1 });
  });

  it('tell why the work fails, when it waits for what fails because of them', async () => {
    const fail = `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$`;
    let attempts = 0;
    await transactions.run(async (tx) => {
      attempts += 1;
      commitWith(tx, attempts === 1 ? [tx.query(fail)] : []);
      await add(tx, 'one');
    });
    expect([attempts, await values()]).toEqual([2, { ...UNTOUCHED, one: 1 }]);
  });

  const error = new Error('never sent');
  it.each<[string, () => Promise<unknown>]>([
    ['at once', () => Promise.reject(error)],
    [
      'some promises later',
      async () => {
        for (let step = 0; step < 20; step += 1) {
          await Promise.resolve();
        }
        throw error;
      },
    ],
  ])('are rolled back, and COMMIT is never sent, if one of them fails %s before it is sent', async (_, fail) => {
    const effects: string[] = [];
    const failing = transactions.run(async (tx) => {
      afterCommit(tx, () => effects.push('counted'));
      await add(tx, 'one');
      commitWith(tx, [add(tx, 'other'), fail(), add(tx, 'gate')]);
    });
    await expect(failing).rejects.toBe(error);
    expect([await values(), effects]).toEqual([UNTOUCHED, []]);
    expect(proxy.statements).toEqual([...BEGIN, 'ROLLBACK']);
  });

  describe('when their transaction could not begin', () => {
    it.each<[string, (tx: Tx) => Promise<unknown>]>([
      ['the first that follows', (tx) => add(tx, 'one').then(() => add(tx, 'other'))],
      ['those that follow a read', (tx) => tx.query('SELECT 1').then(() => add(tx, 'one'))],
      ['those that are sent with COMMIT', async (tx) => commitWith(tx, [add(tx, 'one'), add(tx, 'other')])],
    ])('change nothing, and the work fails: %s', async (_, work) => {
      const failed = proxy.next('START TRANSACTION', 'fails');
      await expect(transactions.run(work)).rejects.toThrow();
      await failed;
      expect(await values()).toEqual(UNTOUCHED);
    });

    it.each<Fate>(['answer is lost', 'client is cut'])('change nothing when its %s', async (fate) => {
      const lost = proxy.next('START TRANSACTION', fate);
      const failing = transactions.run(async (tx) => {
        await add(tx, 'one');
        commitWith(tx, [add(tx, 'gate'), add(tx, 'other')]);
      });
      await expect(failing).rejects.toMatchObject({ code: 'database_unavailable' });
      await lost;
      await until(async () => (await database.query(BUSY_SESSIONS)).length === 0, 'the server has done what it got');
      expect(await values()).toEqual(UNTOUCHED);
    });
  });
});
