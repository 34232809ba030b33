import { type EventConsumer, EventConsumers } from '../../src/events/feed/event-consumers';
import type { EventRow } from '../../src/events/feed/feed.query';
import { TransactionRunner } from '../../src/platform/database/transaction-runner';
import type { UnitOfWork } from '../../src/platform/database/unit-of-work';
import { aProduct } from '../support/factories';
import { logLines } from '../support/log-lines';
import { meeting, untilWaiting, whileLocked } from '../support/race';
import { startTestApp, type TestApp, unique } from '../support/test-app';

/** Notes in a table which events it has taken. */
class Notes implements EventConsumer {
  readonly name = unique('notes');
  wanted = ['product.created'];
  fails = false;
  meanwhile = async (): Promise<void> => undefined;

  types(): Promise<string[]> {
    return Promise.resolve(this.wanted);
  }

  async take({ tx }: UnitOfWork, events: readonly EventRow[]): Promise<void> {
    const objects = events.map(({ objectId }) => objectId);
    await tx.query('INSERT INTO notes (name, object_id) SELECT $1, unnest($2::uuid[])', [this.name, objects]);
    await this.meanwhile();
    if (this.fails) {
      throw new Error('It has changed its mind');
    }
  }
}

describe('Those who write down what follows from events', () => {
  let test: TestApp;
  let notes: Notes;
  beforeAll(async () => {
    test = await startTestApp();
    await test.database.query('CREATE TABLE notes (number serial, name text, object_id uuid)');
  });
  beforeEach(async () => {
    notes = new Notes();
    await consume();
  });
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => test.close());

  const consume = (): Promise<boolean> => test.app.get(EventConsumers, { strict: false }).consume(notes);
  const taken = async (): Promise<string[]> => {
    const rows = await test.database.query<{ id: string }>(
      'SELECT object_id AS id FROM notes WHERE name = $1 ORDER BY number',
      [notes.name],
    );
    return rows.map(({ id }) => id);
  };
  const products = async (count: number): Promise<string[]> => {
    const ids: string[] = [];
    while (ids.length < count) {
      ids.push((await aProduct(test)).id);
    }
    await test.tick();
    return ids;
  };
  const positions = (): Promise<object[]> =>
    test.database.query('SELECT cursor, xmin FROM event_consumers WHERE name = $1', [notes.name]);

  it('take what comes after they have begun, once and in order, and write nothing when nothing comes', async () => {
    const ids = await products(3);
    expect(await consume()).toBe(true);
    expect(await taken()).toEqual(ids);
    const before = await positions();
    expect(await consume()).toBe(false);
    expect(await positions()).toEqual(before);
    ids.push(...(await products(1)));
    await consume();
    expect(await taken()).toEqual(ids);
  });

  it('pass over what they do not want, and what nobody wants', async () => {
    notes.wanted = [];
    await products(2);
    await consume();
    expect(await consume()).toBe(false);
    notes.wanted = ['product.created'];
    const [id] = await products(1);
    await consume();
    expect(await taken()).toEqual([id]);
  });

  it('take again what they did not get done', async () => {
    const ids = await products(2);
    notes.fails = true;
    await expect(consume()).rejects.toThrow('changed its mind');
    expect(await taken()).toEqual([]);
    notes.fails = false;
    await consume();
    expect(await taken()).toEqual(ids);
  });

  it('leave it to another process that is about it', async () => {
    const ids = await products(1);
    const lock = { sql: 'SELECT FROM event_consumers WHERE name = $1 FOR UPDATE', values: [notes.name], waiters: 0 };
    expect(await whileLocked(test.database, lock, () => consume())).toBe(false);
    expect(await taken()).toEqual([]);
    await consume();
    expect(await taken()).toEqual(ids);
  });

  it('go on with the oldest kept, and say so, if they come too late', async () => {
    const [, id] = [await products(1), (await products(1))[0]];
    await test.database.query(`DELETE FROM event_ticks WHERE (era, id) < (SELECT era, tick FROM event_head)`);
    const lines = logLines();
    await consume();
    expect(await taken()).toEqual([id]);
    expect(lines).toEqual([expect.objectContaining({ level: 'error', consumer: notes.name })]);
  });

  it('get done what they are about before somebody holds them', async () => {
    const [id] = await products(1);
    const [hasBegun, mayEnd] = [meeting(2), meeting(2)];
    notes.meanwhile = () => hasBegun().then(mayEnd);
    const consuming = consume();
    await hasBegun();
    const holding = test.app
      .get(TransactionRunner)
      .run(({ tx }) => test.app.get(EventConsumers, { strict: false }).hold(tx, notes.name))
      .then(taken);
    await untilWaiting(test.database, 1);
    await mayEnd();
    expect(await holding).toEqual([id]);
    expect(await consuming).toBe(true);
  });
});
