import { randomUUID } from 'node:crypto';
import { EventRetention } from '../../src/events/feed/event-retention';
import { AUDIT_ACTIONS } from '../../src/audit/audit-action';
import type { Api, Reply } from '../support/api';
import { aProduct, aReservation, anOrder, dataOf } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

interface Event {
  id: string;
  type: string;
  cursor: string;
  object: { type: string; id: string; version?: number };
  data: { old: object | null; new: Record<string, unknown> };
}

let test: TestApp;
let admin: Api;
beforeAll(async () => {
  test = await startTestApp();
  ({ admin } = test);
});
afterAll(() => test.close());

const ask = (query: Record<string, string>): Promise<Reply> =>
  admin.get(`/api/events?${new URLSearchParams(query).toString()}`);

/** Where the feed ends, when all that was committed is in it. */
async function now(): Promise<string> {
  await test.tick();
  return (await ask({})).body.page.next_cursor;
}

/** All events after a cursor. */
async function eventsAfter(cursor: string, query: Record<string, string> = {}): Promise<Event[]> {
  await test.tick();
  const events: Event[] = [];
  for (let after = cursor; ;) {
    const { data, page } = (await ask({ limit: '1000', ...query, after })).body;
    events.push(...data);
    if (after === page.next_cursor) {
      return events;
    }
    after = page.next_cursor;
  }
}

describe('The feed of events', () => {
  it('tells what has happened since, who did it and in which request', async () => {
    const [before, user, request_id] = [await now(), test.aUser(), randomUUID()];
    const product = await aProduct(test);
    const body = { product_id: product.id, quantity: 2 };
    const reservation = dataOf(await user.post('/api/reservations', body, { 'X-Request-Id': request_id }));
    const order = dataOf(await user.post('/api/orders', { reservation_id: reservation.id }));
    dataOf(await user.patch(`/api/orders/${order.id}/status`, { status: 'confirmed' }));
    const events = await eventsAfter(before);
    expect(events.map(({ type }) => type)).toEqual([
      ...['product.created', 'reservation.created', 'order.created'],
      ...['reservation.committed', 'order.status_changed'],
    ]);
    expect(events[1]).toEqual({
      ...{ id: expect.any(String), cursor: expect.any(String), timestamp: expect.stringMatching(/Z$/) },
      ...{ type: 'reservation.created', actor: `user:${user.userId}`, request_id },
      ...{ object: { type: 'reservation', id: reservation.id }, data: { old: null, new: reservation } },
    });
    const purchase = { user_id: user.userId, total_amount: '39.80', currency: 'EUR', product_ids: [product.id] };
    expect(events[3]!.data.new).toEqual({ status: 'committed', order_id: order.id, ...purchase });
    expect(events[4]).toMatchObject({
      object: { type: 'order', id: order.id, version: 2 },
      data: { old: { status: 'pending' }, new: { ...purchase, status: 'confirmed', version: 2 } },
    });
    for (const event of events) {
      expect(dataOf(await admin.get(`/api/events/${event.id}`))).toEqual(event);
    }
  });

  it('begins now if nothing is said, and tells nothing twice', async () => {
    const start = await now();
    const { body } = await ask({});
    expect(body).toEqual({ request_id: body.request_id, data: [], page: { limit: 100, next_cursor: start } });
    const { id } = await aProduct(test);
    const [event, ...more] = await eventsAfter(start);
    expect([event!.object.id, more]).toEqual([id, []]);
    expect(await eventsAfter(event!.cursor)).toEqual([]);
    expect(await eventsAfter(await now())).toEqual([]);
  });

  it('has nothing of what is not committed, and nothing of a refusal', async () => {
    const start = await now();
    const { id } = await aProduct(test, { initial_stock: 1 });
    expect((await test.aUser().post('/api/reservations', { product_id: id, quantity: 2 })).status).toBe(409);
    expect((await eventsAfter(start)).map(({ type }) => type)).toEqual(['product.created']);
    expect(await test.tick()).toBe(false);
  });

  it('costs an idle database nothing but a look: no row is written, and none is locked', async () => {
    await test.tick();
    // A row that has been locked bears the transaction that did it.
    const rows = (): Promise<object[]> =>
      test.database.query('SELECT xmin, xmax, tick, (SELECT count(*) FROM event_ticks) AS ticks FROM event_head');
    const before = await rows();
    expect(await test.tick()).toBe(false);
    expect(await rows()).toEqual(before);
    await aProduct(test);
    expect(await test.tick()).toBe(true);
    expect(await rows()).not.toEqual(before);
  });

  it('says how old its newest tick is, and how long the oldest event has waited that is in none', async () => {
    const value = async (name: string): Promise<number> => {
      const { text } = await test.anonymous.get('/metrics');
      return Number(new RegExp(`^holdfast_event_${name}_seconds (.+)$`, 'm').exec(text)![1]);
    };
    await aProduct(test);
    await test.tick();
    expect(await value('feed_lag')).toBeGreaterThan(0);
    await test.tick();
    expect(await value('feed_lag')).toBe(0);
    expect(await value('tick_age')).toBeLessThan(60);
  });

  it('can be narrowed to types and to an object, and goes on past what does not match', async () => {
    const [start, user] = [await now(), test.aUser()];
    const product = await aProduct(test);
    const first = await anOrder(user, product.id);
    await test.tick();
    const second = await anOrder(user, product.id);
    const found = async (query: Record<string, string>): Promise<string[]> =>
      (await eventsAfter(start, query)).map(({ type, object }) => `${type} ${object.id}`);
    expect(await found({ types: 'order.created' })).toEqual([first, second].map(({ id }) => `order.created ${id}`));
    expect(await found({ types: 'product.created,order.created', object_id: first.id })).toEqual([
      `order.created ${first.id}`,
    ]);
    expect(await found({ object_type: 'product' })).toEqual([`product.created ${product.id}`]);
    expect(await found({ object_id: product.id, object_type: 'order' })).toEqual([]);
    expect(await found({ object_id: randomUUID() })).toEqual([]);
    // One at a time is the same.
    expect(await found({ limit: '1' })).toEqual(await found({}));
  });

  it('is for administrators', async () => {
    expect((await test.aUser().get('/api/events')).status).toBe(403);
    expect((await test.anonymous.get('/api/events')).status).toBe(401);
    expect((await test.aUser().get(`/api/events/${randomUUID()}`)).status).toBe(403);
  });

  it.each([
    [{ after: 'nonsense' }, 'invalid_cursor'],
    [{ after: Buffer.from('1.-1').toString('base64url') }, 'invalid_cursor'],
    [{ after: `${Buffer.from('1.1').toString('base64url')}=` }, 'invalid_cursor'],
    [{ after: Buffer.from(`1.1.5.${'x'.repeat(36)}`).toString('base64url') }, 'invalid_cursor'],
    [{ after: Buffer.from('1.1\u0000').toString('base64url') }, 'invalid_cursor'],
    [{ limit: '0' }, 'validation_failed'],
    [{ limit: '1001' }, 'validation_failed'],
    [{ types: 'order.created,nothing' }, 'validation_failed'],
    [{ object_type: 'thing' }, 'validation_failed'],
    [{ object_id: '1' }, 'validation_failed'],
    [{ cursor: 'x' }, 'validation_failed'],
  ])('refuses %j with %s', async (query, code) => {
    const { status, body } = await ask(query);
    expect([status, body.code]).toEqual([400, code]);
  });

  it.each(['999999999.999999999999999999', '0.0', '1.999999999999999999'])(
    'has nothing, or an answer that says so, for a cursor that was made up: %s',
    async (position) => {
      const { status, body } = await ask({ after: Buffer.from(position).toString('base64url') });
      expect([200, 410]).toContain(status);
      expect(body.data ?? []).toEqual([]);
    },
  );

  it('has no event of an id that is none of its', async () => {
    const ids = [randomUUID(), '0199d1a2-7c3e-7b44-9f0e-3a5b1c2d4e6f', 'ffffffff-ffff-7fff-bfff-ffffffffffff'];
    for (const id of ids) {
      expect((await admin.get(`/api/events/${id}`)).status).toBe(404);
    }
    expect((await admin.get('/api/events/1')).status).toBe(400);
  });

  it('takes every action of the audit log for a type', async () => {
    expect((await ask({ types: AUDIT_ACTIONS.join(',') })).status).toBe(200);
  });
});

/**
 * Makes the database what the dump of another cluster leaves in this one: there, transactions had much higher ids. What was
 * written last had not got into a tick.
 */
async function becomeARestoredDump(): Promise<void> {
  const moved = 10n ** 12n;
  await test.database.query('ALTER TABLE audit_logs DISABLE TRIGGER audit_logs_append_only');
  const partitions = await test.database.query<{ name: string }>(
    `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass`,
  );
  for (const { name } of partitions) {
    await test.database.query(`ALTER TABLE ${name} DISABLE TRIGGER audit_logs_append_only`);
  }
  await test.database.query(`UPDATE audit_logs SET xid = xid + ${moved}`);
  for (const { name } of partitions) {
    await test.database.query(`ALTER TABLE ${name} ENABLE TRIGGER audit_logs_append_only`);
  }
  await test.database.query('ALTER TABLE audit_logs ENABLE TRIGGER audit_logs_append_only');
  await test.database.query(`
    UPDATE event_ticks SET first_xid = first_xid + ${moved}, end_xid = end_xid + ${moved},
      late_xids = ARRAY(SELECT xid + ${moved} FROM unnest(late_xids) AS xid),
      snapshot = (pg_snapshot_xmin(snapshot::pg_snapshot)::text::bigint + ${moved}) || ':'
        || (pg_snapshot_xmax(snapshot::pg_snapshot)::text::bigint + ${moved}) || ':'
        || coalesce((SELECT string_agg((xip::text::bigint + ${moved})::text, ',')
          FROM pg_snapshot_xip(snapshot::pg_snapshot) AS xip), '')`);
}

describe('A dump that is restored into a younger cluster, where transaction ids start again', () => {
  it('loses no event and repeats none, for who goes on from an old cursor and for who begins again', async () => {
    const before = await eventsAfter('beginning');
    const cursor = await now();
    const seen: string[] = [];
    const make = async (): Promise<void> => {
      seen.push((await aProduct(test)).id);
    };
    // Committed in the old cluster, but in no tick of it.
    await make();
    await make();
    await becomeARestoredDump();
    await make();
    await test.tick();
    await make();
    const { id } = await aReservation(test.aUser(), seen[0]!);
    const objects = (events: Event[]): string[] => events.map(({ object }) => object.id);
    expect(objects(await eventsAfter(cursor)).slice(0, 5)).toEqual([...seen, id]);
    const all = await eventsAfter('beginning');
    expect(all.map((event) => event.id).slice(0, before.length)).toEqual(before.map((event) => event.id));
    expect(objects(all).slice(before.length)).toEqual([...seen, id]);
    expect(await test.database.query('SELECT era FROM event_head')).toEqual([{ era: 2 }]);
    for (const event of all) {
      expect(dataOf(await admin.get(`/api/events/${event.id}`))).toEqual(event);
    }
  });

  it('goes on when the new ids come to those of the old cluster', async () => {
    const all = await eventsAfter('beginning');
    const { id } = await aProduct(test);
    expect((await eventsAfter('beginning')).map(({ object }) => object.id)).toEqual([
      ...all.map(({ object }) => object.id),
      id,
    ]);
  });
});

/** Events are kept for 30 days: lets so many pass. */
async function letDaysPass(days: number): Promise<void> {
  await test.database.query(`UPDATE event_ticks SET at = at - $1 * interval '1 day'`, [days]);
  await test.app.get(EventRetention, { strict: false }).purge();
}

describe('Old events', () => {
  it('are gone after 30 days: a cursor from before says so, with the oldest one that is good', async () => {
    const old = await now();
    await aProduct(test);
    await test.tick();
    await aProduct(test);
    const older = await now();
    await letDaysPass(31);
    const kept = await aProduct(test);
    await test.tick();
    const reply = await ask({ after: old });
    expect([reply.status, reply.body.code]).toEqual([410, 'cursor_expired']);
    const { oldest_cursor } = reply.body;
    const objects = async (after: string): Promise<string[]> =>
      (await eventsAfter(after)).map(({ object }) => object.id);
    expect((await objects(oldest_cursor)).at(-1)).toBe(kept.id);
    // Whoever had read all there was has missed nothing.
    expect(await objects(older)).toEqual([kept.id]);
    expect(await eventsAfter('beginning')).toEqual(await eventsAfter(oldest_cursor));
    expect(dataOf(await admin.get(`/api/audit-logs?object_type=product&limit=2`))).toHaveLength(2);
  });
});
