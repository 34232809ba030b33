import { randomUUID } from 'node:crypto';
import { TransactionRunner } from '../../src/platform/database/transaction-runner';
import type { UnitOfWork } from '../../src/platform/database/unit-of-work';
import { type Api, type Reply } from '../support/api';
import { aProduct, dataOf, expectReconciled, type Product, stockOf } from '../support/factories';
import { meeting, storm, tally, until, untilWaiting, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const POOL_SIZE = 5;
const LOCK_LEVELS = 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE';
const HAS_COME = 'SELECT FROM stock_levels WHERE product_id = $1 AND total >= $2';
const SESSIONS = `FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'holdfast'`;
const CUT_ALL = `SELECT pg_terminate_backend(pid) ${SESSIONS}`;
const CUT_WHO_WAITS = `${CUT_ALL} AND wait_event_type = 'Lock'`;

/** A table of our own to count in, and one whose rows make COMMIT wait for a lock, or fail. */
const TABLES = `
  CREATE TABLE counters (name text PRIMARY KEY, value int NOT NULL DEFAULT 0);
  INSERT INTO counters (name) VALUES ('one'), ('other'), ('gate');
  CREATE TABLE at_commit (what text);
  CREATE FUNCTION do_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF NEW.what = 'fail' THEN
      RAISE EXCEPTION 'refused at commit';
    END IF;
    PERFORM FROM counters WHERE name = 'gate' FOR UPDATE;
    RETURN NULL;
  END $$;
  CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON at_commit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION do_at_commit()`;

const add = ({ tx }: UnitOfWork, name: string): Promise<unknown> =>
  tx.query('UPDATE counters SET value = value + 1 WHERE name = $1', [name]);

describe('The transaction runner', () => {
  let test: TestApp;
  let transactions: TransactionRunner;
  beforeAll(async () => {
    test = await startTestApp({ DATABASE_POOL_SIZE: String(POOL_SIZE), LOG_LEVEL: 'fatal' });
    await test.database.query(TABLES);
    transactions = test.app.get(TransactionRunner, { strict: false });
  });
  beforeEach(() => test.database.query('UPDATE counters SET value = 0'));
  afterEach(async () => {
    await expectReconciled(test);
    await expectNoLeak();
  });
  afterAll(() => test.close());

  const valueOf = async (name: string): Promise<number> =>
    (await test.database.query<{ value: number }>('SELECT value FROM counters WHERE name = $1', [name]))[0]!.value;

  async function metric(name: string): Promise<number> {
    const line = (await test.anonymous.get('/metrics')).text.split('\n').find((text) => text.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1));
  }
  const retries = (): Promise<number> => metric('holdfast_transaction_retries_total');
  const poolSize = (state: string): Promise<number> => metric(`holdfast_database_pool_connections{state="${state}"}`);

  /** A connection that was cut may be taken before the pool has noticed; whoever gets it is answered 503. */
  function untilPoolHasNoDead(): Promise<void> {
    const isSo = async () => (await poolSize('total')) === (await test.database.query(`SELECT ${SESSIONS}`)).length;
    return until(isSo, 'the pool has no dead connections');
  }

  /** All connections of the pool are back, and none was given back with its transaction open. */
  async function expectNoLeak(): Promise<void> {
    await untilPoolHasNoDead();
    expect(await poolSize('idle')).toBe(await poolSize('total'));
    expect(await poolSize('total')).toBeLessThanOrEqual(POOL_SIZE);
    expect(await poolSize('waiting')).toBe(0);
    expect(await test.database.query(`SELECT state, query ${SESSIONS} AND state <> 'idle'`)).toEqual([]);
  }

  const reserve = (user: Api, { id }: Product): Promise<Reply> =>
    user.post('/api/reservations', { product_id: id, quantity: 1 });

  /** One piece more, in a transaction of its own: no other request shares it. */
  const adjust = ({ id }: Product, key: string = randomUUID()): Promise<Reply> =>
    test.admin.post(
      `/api/products/${id}/stock-adjustments`,
      { delta: 1, reason: 'delivery' },
      { 'Idempotency-Key': key },
    );

  describe('when it runs again', () => {
    it('lets both of two transactions succeed that PostgreSQL found in a deadlock', async () => {
      const before = await retries();
      const haveOne = meeting(2);
      let attempts = 0;
      const cross = (first: string, second: string): Promise<string> =>
        transactions.run(async (unit) => {
          attempts += 1;
          await add(unit, first);
          // Whoever comes again finds the door open.
          await haveOne();
          await add(unit, second);
          return first;
        });
      expect(await Promise.all([cross('one', 'other'), cross('other', 'one')])).toEqual(['one', 'other']);
      expect([attempts, await valueOf('one'), await valueOf('other'), await retries()]).toEqual([3, 2, 2, before + 1]);
    });

    it('serves a request that fell into a deadlock with somebody who keeps no order of locks', async () => {
      const [first, second, third] = [await aProduct(test), await aProduct(test), await aProduct(test)];
      const before = await retries();
      const items = [first, second, third].map(({ id }) => ({ product_id: id, quantity: 1 }));
      const rude = await test.database.pool.connect();
      try {
        await rude.query(`BEGIN; SET LOCAL deadlock_timeout = '20s'`);
        await rude.query(LOCK_LEVELS, [third.id]);
        let rudeEnds: Promise<unknown> | undefined;
        const crossIt = () => {
          rudeEnds = rude.query(LOCK_LEVELS, [first.id]).then(() => rude.query('COMMIT'));
          return untilWaiting(test.database, 2);
        };
        // PostgreSQL looks for a deadlock once, a second after a wait has begun: so the request must be the last to wait.
        const lock = { sql: LOCK_LEVELS, values: [second.id], meanwhile: crossIt };
        const reply = await whileLocked(test.database, lock, () => test.aUser().post('/api/reservations', { items }));
        await rudeEnds;
        expect(reply.status).toBe(201);
      } finally {
        rude.release(true);
      }
      expect(await retries()).toBe(before + 1);
      expect(await stockOf(test, first.id)).toMatchObject({ reserved: 1 });
    });

    it('starts the whole work again after a serialization failure, keeps nothing of the failed tries, and gives up after three', async () => {
      const fail = `DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$`;
      const effects: number[] = [];
      let attempts = 0;
      const attempt = (failures: number): Promise<number> =>
        transactions.run(async (unit) => {
          attempts += 1;
          const now = attempts;
          await add(unit, 'one');
          unit.afterCommit(() => effects.push(now));
          if (now <= failures) {
            await unit.tx.query(fail);
          }
          return now;
        });
      expect(await attempt(2)).toBe(3);
      expect([await valueOf('one'), effects]).toEqual([1, [3]]);
      attempts = 0;
      await expect(attempt(99)).rejects.toMatchObject({ code: 'overloaded' });
      expect([attempts, await valueOf('one'), effects]).toEqual([3, 1, [3]]);
    });
  });

  describe('when it does not', () => {
    it('refuses to open a transaction inside another, and rolls the outer one back', async () => {
      const nested = transactions.run(async (unit) => {
        await add(unit, 'one');
        return transactions.run((inner) => add(inner, 'other'));
      });
      await expect(nested).rejects.toThrow('A transaction is open already');
      expect([await valueOf('one'), await valueOf('other')]).toEqual([0, 0]);
    });

    it('rolls back what throws, once, and throws the error on as it is', async () => {
      const error = new Error('of the work');
      let attempts = 0;
      const effects: string[] = [];
      const failing = transactions.run(async (unit) => {
        attempts += 1;
        unit.afterCommit(() => effects.push('counted'));
        await add(unit, 'one');
        throw error;
      });
      await expect(failing).rejects.toBe(error);
      expect([attempts, effects, await valueOf('one')]).toEqual([1, [], 0]);
    });

    it('rolls back what PostgreSQL refuses only at COMMIT', async () => {
      const failing = transactions.run(async (unit) => {
        await add(unit, 'one');
        await unit.tx.query(`INSERT INTO at_commit VALUES ('fail')`);
      });
      await expect(failing).rejects.toThrow('refused at commit');
      expect(await valueOf('one')).toBe(0);
    });
  });

  describe('when the connection breaks', () => {
    it('answers 503 to a request whose backend was terminated, and serves it under its key right after', async () => {
      const [product, key] = [await aProduct(test), randomUUID()];
      const lock = { sql: LOCK_LEVELS, values: [product.id], meanwhile: { sql: CUT_WHO_WAITS } };
      const reply = await whileLocked(test.database, lock, () => adjust(product, key));
      expect(reply).toMatchObject({
        status: 503,
        body: { code: 'database_unavailable' },
        headers: { 'retry-after': '2' },
      });
      expect(await stockOf(test, product.id)).toMatchObject({ total: 10 });
      expect((await adjust(product, key)).status).toBe(201);
      expect(await stockOf(test, product.id)).toMatchObject({ total: 11 });
    });

    it('fills its pool again after all of its connections were cut', async () => {
      const product = await aProduct(test, { initial_stock: 50 });
      await storm(POOL_SIZE * 2, () => test.anonymous.get('/api/products'));
      await test.database.query(CUT_ALL);
      await untilPoolHasNoDead();
      expect(tally(await storm(20, () => reserve(test.aUser(), product)))).toEqual({ '201': 20 });
    });

    it('survives that connections are cut under a storm: what was answered 201 is there, what was answered 503 is not', async () => {
      const product = await aProduct(test, { initial_stock: 0 });
      const running = storm(60, () => adjust(product));
      for (const soMany of [3, 12]) {
        const have = [product.id, soMany];
        await until(async () => (await test.database.query(HAS_COME, have)).length > 0, `${soMany} pieces have come`);
        await test.database.query(CUT_ALL);
      }
      const counts = tally(await running);
      await untilPoolHasNoDead();
      const {
        '201': made,
        '503 database_unavailable': refused,
        '500 outcome_unknown': unknown = 0,
        ...others
      } = counts;
      expect(others).toEqual({});
      expect(refused).toBeGreaterThan(0);
      const { total } = await stockOf(test, product.id);
      // Only where COMMIT itself was cut nobody can say what became of it, and the answer says so.
      expect(total).toBeGreaterThanOrEqual(made!);
      expect(total).toBeLessThanOrEqual(made! + unknown);
    });

    it('does not promise that nothing was changed when the connection breaks during COMMIT', async () => {
      const lock = { sql: `SELECT FROM counters WHERE name = 'gate' FOR UPDATE`, meanwhile: { sql: CUT_WHO_WAITS } };
      const committing = whileLocked(test.database, lock, () =>
        transactions.run(async (unit) => {
          await unit.tx.query(`INSERT INTO at_commit VALUES ('wait')`);
        }),
      );
      await expect(committing).rejects.toMatchObject({ code: 'outcome_unknown' });
    });
  });

  describe('when it has to wait too long', () => {
    it('answers 503 with Retry-After to a request that does not get its lock, and changes nothing', async () => {
      const [product, user] = [await aProduct(test), test.aUser()];
      let asked: Promise<Reply> | undefined;
      const lock = { sql: LOCK_LEVELS, values: [product.id], meanwhile: () => asked! };
      const { status, body, headers } = await whileLocked(test.database, lock, () => (asked = reserve(user, product)));
      expect([status, body.code, headers['retry-after']]).toEqual([503, 'overloaded', '1']);
      expect(await stockOf(test, product.id)).toEqual({ available: 10, reserved: 0, total: 10 });
      expect((await reserve(user, product)).status).toBe(201);
    });

    it('answers 503 with Retry-After to whoever waited too long for one, and serves again when one is free', async () => {
      const { connections } = transactions;
      const patience = connections.waitTimeoutMs;
      let open!: () => void;
      const gate = new Promise<void>((resolve) => (open = resolve));
      const held = storm(POOL_SIZE, () => transactions.run(() => gate));
      await until(async () => (await poolSize('total')) - (await poolSize('idle')) === POOL_SIZE, 'all are in use');
      connections.waitTimeoutMs = 50;
      try {
        const { status, body, headers } = await test.anonymous.get('/api/products');
        expect([status, body.code, headers['retry-after']]).toEqual([503, 'overloaded', '1']);
      } finally {
        connections.waitTimeoutMs = patience;
        open();
        await held;
      }
      expect((await test.anonymous.get('/api/products')).status).toBe(200);
    });
  });

  it('has every connection back after a hundred failures of every kind', async () => {
    const product = await aProduct(test, { initial_stock: 1 });
    dataOf(await reserve(test.aUser(), product));
    const kinds: (() => Promise<unknown>)[] = [
      () => transactions.run(() => Promise.reject(new Error('thrown'))),
      () => transactions.run(({ tx }) => tx.query('SELECT FROM no_such_table')),
      () => transactions.run(({ tx }) => tx.query(`INSERT INTO at_commit VALUES ('fail')`)),
      () => transactions.read((manager) => manager.query('SELECT 1 / 0')),
      () => transactions.run(({ tx }) => tx.query('SELECT pg_terminate_backend(pg_backend_pid())')),
      () => reserve(test.aUser(), product).then(({ status }) => Promise.reject(new Error(String(status)))),
    ];
    const outcomes = await Promise.allSettled(
      Array.from({ length: 102 }, (_, index) => kinds[index % kinds.length]!()),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toEqual([]);
    await expectNoLeak();
    expect(await transactions.run(async ({ tx }) => tx.query('SELECT 1 AS works'))).toEqual([{ works: 1 }]);
  });
});
