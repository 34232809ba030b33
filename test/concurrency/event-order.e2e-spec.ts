import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { uuidv7 } from 'uuidv7';
import { dataOf } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

const WRITERS = 8;
const OBJECTS = 6;
const WRITING_MS = 3_000;
const TICK_MS = 20;

/** What a reader saw of an object's history, in the order in which it was told: numbers that should count up. */
type Histories = Map<string, number[]>;

interface Event {
  id: string;
  cursor: string;
  object: { id: string };
  data: { new: { number: number } };
}

interface Told {
  readonly id: string;
  readonly objectId: string;
  readonly number: number;
}

/** One transaction as the service has them: first a row by which it gets its id, then the lock, then the audit row. */
async function write(client: PoolClient, objectId: string, longest = 20): Promise<void> {
  const breathe = (): Promise<void> => pause(Math.random() * longest);
  await client.query('BEGIN');
  await client.query('SELECT pg_current_xact_id()');
  await breathe();
  const { rows } = await client.query('UPDATE counted SET number = number + 1 WHERE id = $1 RETURNING number', [
    objectId,
  ]);
  await breathe();
  await client.query(
    `INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id)
     VALUES ($1, 'system:test', 'order.created', 'order', $2, jsonb_build_object('number', $3::int), $1)`,
    [uuidv7(), objectId, rows[0].number],
  );
  await breathe();
  // Some change their minds.
  await client.query(Math.random() < 0.1 ? 'ROLLBACK' : 'COMMIT');
}

describe('The order of events, while writers overlap in every way', () => {
  let test: TestApp;
  let written: Told[];
  /** What each way to read has been told, in its order. */
  const told: Record<'feed' | 'ids' | 'horizon', Told[]> = { feed: [], ids: [], horizon: [] };

  beforeAll(async () => {
    test = await startTestApp();
    const { pool } = test.database;
    await test.database.query('CREATE TABLE counted (id uuid PRIMARY KEY, number int NOT NULL)');
    const objects = Array.from({ length: OBJECTS }, () => randomUUID());
    const lonely = randomUUID();
    await test.database.query('INSERT INTO counted SELECT unnest($1::uuid[]), 0', [[...objects, lonely]]);
    // Numbers as a bigserial would give them: drawn when the row is written, before it is committed.
    await test.database.query('ALTER TABLE audit_logs ADD COLUMN serial bigint');
    await test.database.query('CREATE SEQUENCE serials');
    await test.database.query(`ALTER TABLE audit_logs ALTER COLUMN serial SET DEFAULT nextval('serials')`);

    let isWriting = true;
    let isReading = true;
    const writers = Array.from({ length: WRITERS }, async () => {
      const client = await pool.connect();
      while (isWriting) {
        await write(client, objects[Math.floor(Math.random() * OBJECTS)]!);
      }
      client.release();
    });
    /** One that stays open all the time, with an event of its own. */
    const idle = (async () => {
      const client = await pool.connect();
      await client.query('BEGIN');
      await client.query(
        `INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id)
         VALUES ($1, 'system:test', 'order.created', 'order', $2, '{"number": 1}', $1)`,
        [uuidv7(), lonely],
      );
      await Promise.all(writers);
      await client.query('COMMIT');
      client.release();
    })();
    const repeatedly = async (work: () => Promise<unknown>): Promise<void> => {
      while (isReading) {
        await work();
        await pause(TICK_MS);
      }
      await work();
    };
    const jobs = [
      repeatedly(() => test.tick()),
      repeatedly(readFeed()),
      repeatedly(readIds()),
      repeatedly(readHorizon()),
    ];

    await pause(WRITING_MS);
    const beforeTheEnd = told.feed.length;
    isWriting = false;
    await idle;
    await test.tick();
    isReading = false;
    await Promise.all(jobs);
    // The one that stays open keeps nothing from being told; how much that is depends on the machine.
    expect(beforeTheEnd).toBeGreaterThan(10);
    written = await rowsWhere('true', []);
  });
  afterAll(() => test.close());

  async function rowsWhere(condition: string, values: unknown[]): Promise<(Told & { serial: string; xid: string })[]> {
    return test.database.query(
      `SELECT id, object_id AS "objectId", (new_value ->> 'number')::int AS number, serial, xid
       FROM audit_logs WHERE ${condition}`,
      values,
    );
  }

  function readFeed(): () => Promise<void> {
    let cursor = 'beginning';
    return async () => {
      let count: number;
      do {
        const { body } = await test.admin.get(`/api/events?after=${cursor}&limit=17`);
        cursor = body.page.next_cursor;
        count = body.data.length;
        told.feed.push(
          ...body.data.map(({ id, object, data }: Event) => ({ id, objectId: object.id, number: data.new.number })),
        );
      } while (count > 0);
    };
  }

  function readIds(): () => Promise<void> {
    let last = '0';
    return async () => {
      const rows = await rowsWhere('serial > $1 ORDER BY serial', [last]);
      last = rows.at(-1)?.serial ?? last;
      told.ids.push(...rows);
    };
  }

  function readHorizon(): () => Promise<void> {
    let last = '0';
    return async () => {
      const rows = await rowsWhere(
        `xid > $1 AND xid::text::xid8 < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid, id`,
        [last],
      );
      last = rows.at(-1)?.xid ?? last;
      told.horizon.push(...rows);
    };
  }

  const ids = (rows: readonly Told[]): string[] => rows.map(({ id }) => id).sort();
  const histories = (rows: readonly Told[]): Histories => {
    const found: Histories = new Map();
    rows.forEach(({ objectId, number }) => found.set(objectId, [...(found.get(objectId) ?? []), number]));
    return found;
  };
  const areInOrder = (found: Histories): boolean =>
    [...found.values()].every((numbers) => numbers.every((number, index) => number === index + 1));

  it('is that of each history, and all that was committed is told, once', () => {
    expect(ids(told.feed)).toEqual(ids(written));
    expect(areInOrder(histories(told.feed))).toBe(true);
  });

  it('is the same for who reads it later, from any cursor', async () => {
    const all: Event[] = [];
    for (let cursor = 'beginning', count = 1; count > 0;) {
      const { body } = await test.admin.get(`/api/events?after=${cursor}&limit=1000`);
      [cursor, count] = [body.page.next_cursor, body.data.length];
      all.push(...body.data);
    }
    expect(all.map(({ id }) => id)).toEqual(told.feed.map(({ id }) => id));
    for (const at of [0, 1, Math.floor(all.length / 2), all.length - 2]) {
      const rest = dataOf(await test.admin.get(`/api/events?after=${all[at]!.cursor}&limit=1000`));
      expect(rest).toEqual(all.slice(at + 1, at + 1001));
      expect(dataOf(await test.admin.get(`/api/events/${all[at]!.id}`))).toEqual(all[at]);
    }
  });

  it('cannot be had from ids, which are drawn before the commit: some are lost', () => {
    expect(new Set(ids(told.ids)).size).toBeLessThan(written.length);
  });

  it('cannot be had from a horizon, which nothing passes while a transaction is open, and which sorts by its beginning', () => {
    // How far it has come by the end depends on whoever else writes on this server.
    const isComplete = told.horizon.length === written.length;
    expect(isComplete && areInOrder(histories(told.horizon))).toBe(false);
  });
});
