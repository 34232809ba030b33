import { randomUUID } from 'node:crypto';
import { AUDIT_ACTIONS } from '../../src/audit/audit-action';
import type { Api, Reply } from '../support/api';
import { rowCounts } from '../support/database';
import {
  anOrder,
  aProduct,
  aReservation,
  aWarehouse,
  dataOf,
  letTimePass,
  stockOf,
  aWatchedProduct,
} from '../support/factories';
import { startTestApp, type TestApp, unique } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';
const BY_SYSTEM = 'system:reservation-expiry';
const BY_ALERTS = 'system:stock-alerts';

type AuditRow = Record<string, string>;
/** What an operation must leave in the audit log. */
type Trace = [objectId: string, before: object | null, after: object, actor?: string];
type Headers = Record<string, string>;

/** An object that has these fields, among others. */
const having = (fields: object): object => expect.objectContaining(fields);

describe('The audit log', () => {
  let test: TestApp;
  beforeAll(async () => {
    // One of the tests makes the service fail, and what it then logs is no news.
    test = await startTestApp({ LOG_LEVEL: 'silent' });
  });
  afterAll(() => test.close());

  const search = (query: Record<string, string>): Promise<Reply> =>
    test.admin.get(`/api/audit-logs?${new URLSearchParams(query).toString()}`);
  const find = async (query: Record<string, string>): Promise<AuditRow[]> => dataOf(await search(query));

  const crossing = async (...deltas: number[]): Promise<Trace> => {
    const { id, ...told } = await aWatchedProduct(test, ...deltas);
    return [id, null, told, BY_ALERTS];
  };

  const OPERATIONS: Record<string, (admin: Api, headers: Headers) => Promise<Trace>> = {
    'user.registered': async (_, headers) => {
      const [email, password] = [`${unique('ada')}@example.com`, 'correct horse battery'];
      const { id } = dataOf(await test.anonymous.post('/api/auth/register', { email, password }, headers));
      return [id, null, { email, role: 'user' }, `user:${id}`];
    },
    'product.created': async (admin, headers) => {
      const body = { sku: unique('SKU'), name: 'Cup', price: '5', initial_stock: 4 };
      const { id } = dataOf(await admin.post('/api/products', body, headers));
      return [id, null, having({ ...body, price: '5.00', warehouse_id: MAIN })];
    },
    'product.updated': async (admin, headers) => {
      const { id } = await aProduct(test);
      dataOf(await admin.patch(`/api/products/${id}`, { price: '21.00' }, headers));
      const value = (price: string): object => having({ name: 'Blue mug', price });
      return [id, value('19.90'), value('21.00')];
    },
    'warehouse.created': async (admin, headers) => {
      const body = { code: unique('WH'), name: 'North', priority: 7 };
      const { id } = dataOf(await admin.post('/api/warehouses', body, headers));
      return [id, null, having({ ...body, is_active: true })];
    },
    'warehouse.updated': async (admin, headers) => {
      const { id, code } = await aWarehouse(test);
      dataOf(await admin.patch(`/api/warehouses/${id}`, { priority: 3 }, headers));
      return [id, having({ code, priority: 100 }), having({ code, priority: 3 })];
    },
    'stock.adjusted': async (admin, headers) => {
      const { id } = await aProduct(test);
      dataOf(await admin.post(`/api/products/${id}/stock-adjustments`, { delta: -3, reason: 'broken' }, headers));
      const level = (available_stock: number): object => ({ warehouse_id: MAIN, available_stock, reserved_stock: 0 });
      return [id, level(10), { ...level(7), delta: -3, reason: 'broken' }];
    },
    'stock.transferred': async (admin, headers) => {
      const [{ id }, warehouse] = [await aProduct(test), await aWarehouse(test)];
      const move = { from_warehouse_id: MAIN, to_warehouse_id: warehouse.id, quantity: 2 };
      const transfer = dataOf(await admin.post('/api/stock-transfers', { ...move, product_id: id }, headers));
      return [id, null, { ...move, transfer_id: transfer.id, reason: null }];
    },
    'stock.low': () => crossing(-4),
    'stock.depleted': () => crossing(-4, -6),
    'stock.replenished': () => crossing(-4, 4),
    'reservation.created': async (admin, headers) => {
      const body = { product_id: (await aProduct(test)).id, quantity: 2 };
      const { id } = dataOf(await admin.post('/api/reservations', body, headers));
      const items = [having({ ...body, unit_price: '19.90', warehouse_id: MAIN })];
      return [id, null, having({ id, status: 'active', total_amount: '39.80', items })];
    },
    'reservation.extended': async (admin, headers) => {
      const { id, expires_at } = await aReservation(admin, (await aProduct(test)).id);
      const after = dataOf(await admin.post(`/api/reservations/${id}/extend`, { ttl_seconds: 1200 }, headers));
      expect(after.expires_at > expires_at).toBe(true);
      return [id, { expires_at }, having({ expires_at: after.expires_at })];
    },
    'reservation.committed': async (admin, headers) => {
      const { id } = await aReservation(admin, (await aProduct(test)).id);
      const order = dataOf(await admin.post(`/api/reservations/${id}/commit`, undefined, headers));
      const value = (status: string): object => having({ status, order_id: order.id });
      return [id, value('active'), value('committed')];
    },
    'reservation.cancelled': async (admin, headers) => {
      const { id, expires_at } = await aReservation(admin, (await aProduct(test)).id);
      dataOf(await admin.post(`/api/reservations/${id}/cancel`, undefined, headers));
      return [id, { status: 'active', order_id: null, expires_at }, having({ status: 'cancelled', order_id: null })];
    },
    'reservation.expired': async (admin, headers) => {
      const product = await aProduct(test, { initial_stock: 1 });
      const { id } = await aReservation(test.aUser(), product.id);
      await letTimePass(test, id);
      dataOf(await admin.post('/api/reservations', { product_id: product.id, quantity: 1 }, headers));
      const value = (status: string): object => having({ status, order_id: null });
      return [id, value('active'), value('expired'), BY_SYSTEM];
    },
    'order.created': async (admin, headers) => {
      const { id: reservation_id } = await aReservation(admin, (await aProduct(test)).id);
      const { id } = dataOf(await admin.post('/api/orders', { reservation_id }, headers));
      const owner = { user_id: admin.userId, reservation_id };
      return [id, null, having({ ...owner, status: 'pending', version: 1, total_amount: '19.90', currency: 'EUR' })];
    },
    'order.status_changed': async (admin, headers) => {
      const { id } = await anOrder(admin, (await aProduct(test)).id);
      dataOf(await admin.patch(`/api/orders/${id}/status`, { status: 'cancelled', reason: 'too dear' }, headers));
      return [id, { status: 'pending' }, having({ status: 'cancelled', version: 2, reason: 'too dear' })];
    },
  };

  it.each(Object.entries(OPERATIONS))(
    'has %s once after what causes it: who, what, before, after and under which request',
    async (action, run) => {
      const request_id = randomUUID();
      const caller = test.aUser('admin');
      const [object_id, old_value, new_value, actor = `user:${caller.userId}`] = await run(caller, {
        'X-Request-Id': request_id,
      });
      const generated = { id: expect.any(String), timestamp: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/) };
      // The job that looks at stock does so under an id of its own.
      const type = actor === BY_ALERTS ? 'product' : action.split('.')[0];
      const of: Record<string, string> = actor === BY_ALERTS ? { object_id } : { request_id };
      const row = { actor, action, object_type: type, object_id, old_value, new_value, request_id: expect.any(String) };
      expect(await find({ action, ...of })).toEqual([{ ...row, ...generated, ...of }]);
    },
  );

  it('is asked here for every action that it knows', () => {
    // These have tests of their own: audit-archive.e2e-spec.ts and webhook-endpoints.e2e-spec.ts.
    const elsewhere = AUDIT_ACTIONS.filter((action) => /^(audit_log|webhook_endpoint|webhook)\./.test(action));
    expect([...Object.keys(OPERATIONS), ...elsewhere].sort()).toEqual([...AUDIT_ACTIONS].sort());
    expect(AUDIT_ACTIONS).toHaveLength(24);
  });

  it('writes under an id of its own what the sweep does', async () => {
    const user = test.aUser();
    const order = await anOrder(user, (await aProduct(test)).id);
    await letTimePass(test, order.reservation_id);
    await test.sweep();
    const [expired] = await find({ object_id: order.reservation_id, action: 'reservation.expired' });
    const [cancelled] = await find({ object_id: order.id, action: 'order.status_changed' });
    expect([expired!.actor, cancelled!.actor]).toEqual([BY_SYSTEM, BY_SYSTEM]);
    expect(expired!.request_id).toBe(cancelled!.request_id);
    expect(await find({ request_id: expired!['request_id']!, actor: BY_SYSTEM })).toHaveLength(2);
  });

  it('never keeps a password', async () => {
    const password = unique('secret password');
    dataOf(await test.anonymous.post('/api/auth/register', { email: `${unique('eve')}@example.com`, password }));
    const [row] = await test.database.query<{ found: number }>(
      `SELECT count(*)::int AS found FROM audit_logs WHERE new_value::text LIKE '%' || $1 || '%' OR new_value::text LIKE '%argon2%'`,
      [password],
    );
    expect(row).toEqual({ found: 0 });
  });

  it('has nothing of what was refused', async () => {
    const product = await aProduct(test);
    const rows = await rowCounts(test.database);
    const requestId = { 'X-Request-Id': randomUUID() };
    const tooMany = { product_id: product.id, quantity: 11 };
    expect((await test.aUser().post('/api/reservations', tooMany, requestId)).status).toBe(409);
    expect((await test.aUser().post('/api/products', { sku: 'X', name: 'X', price: 1 }, requestId)).status).toBe(403);
    expect(await find({ request_id: requestId['X-Request-Id'] })).toEqual([]);
    expect(await rowCounts(test.database)).toEqual(rows);
  });

  it('has nothing of what failed after it was written down', async () => {
    const product = await aProduct(test);
    const requestId = randomUUID();
    const rows = await rowCounts(test.database);
    await test.database.query(`
      CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'at the very end'; END $$;
      CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON audit_logs DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.request_id = '${requestId}') EXECUTE FUNCTION fail()`);
    const body = { items: [{ product_id: product.id, quantity: 2 }] };
    const failed = await test.aUser().post('/api/orders', body, { 'X-Request-Id': requestId });
    expect(failed).toMatchObject({ status: 500, body: { code: 'internal_error' } });
    expect(await find({ request_id: requestId })).toEqual([]);
    expect(await rowCounts(test.database)).toEqual(rows);
    expect(await stockOf(test, product.id)).toEqual({ available: 10, reserved: 0, total: 10 });
    expect((await test.aUser().post('/api/orders', body)).status).toBe(201);
  });

  it('is for administrators', async () => {
    expect(await test.aUser().get('/api/audit-logs')).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    expect((await test.anonymous.get('/api/audit-logs')).status).toBe(401);
  });

  describe('searched', () => {
    const DAY = '2026-03-10';
    const [first, last] = [`${DAY}T00:00:00.000Z`, `${DAY}T23:59:59.999Z`];
    const MOMENTS = ['2026-03-09T23:59:59.999Z', first, last, '2026-03-11T00:00:00.000Z'];
    const [actor, object_id, request_id] = [`user:${randomUUID()}`, randomUUID(), randomUUID()];
    let rows: AuditRow[];

    beforeAll(async () => {
      const pairs = [actor, BY_SYSTEM].flatMap((by) =>
        ['order.created', 'order.status_changed', 'product.created'].map((action) => ({ by, action })),
      );
      const drafts = pairs.flatMap((pair) => [object_id, randomUUID()].map((object) => ({ ...pair, object })));
      const all = drafts.flatMap((draft) =>
        MOMENTS.map((at, index) => ({ ...draft, at, request: index % 2 ? request_id : randomUUID() })),
      );
      const fields = ['by', 'action', 'object', 'request', 'at'] as const;
      await test.database.query(
        `INSERT INTO audit_logs (id, actor, action, object_type, object_id, request_id, created_at)
         SELECT gen_random_uuid(), actor, action, split_part(action, '.', 1), object, request, at
         FROM unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::timestamptz[]) AS new (actor, action, object, request, at)`,
        fields.map((field) => all.map((row) => row[field])),
      );
      rows = await find({ limit: '100', end_date: MOMENTS[3]! });
    });

    it.each<{ query: Record<string, string>; count: number }>([
      { query: {}, count: 48 },
      { query: { actor }, count: 24 },
      { query: { actor: actor.toUpperCase().replace('USER', 'user') }, count: 24 },
      { query: { actor: BY_SYSTEM }, count: 24 },
      { query: { action: 'order.created' }, count: 16 },
      { query: { object_type: 'order' }, count: 32 },
      { query: { object_id }, count: 24 },
      { query: { object_id: object_id.toUpperCase() }, count: 24 },
      { query: { request_id }, count: 24 },
      { query: { start_date: DAY }, count: 36 },
      { query: { end_date: DAY }, count: 36 },
      { query: { start_date: DAY, end_date: DAY }, count: 24 },
      { query: { start_date: `${DAY}T01:00:00.000+01:00`, end_date: `${DAY}T00:00:00Z` }, count: 12 },
      { query: { actor, action: 'order.created', object_id }, count: 4 },
      { query: { actor, object_type: 'order', object_id, request_id, start_date: DAY, end_date: DAY }, count: 2 },
      { query: { action: 'order.created', object_type: 'product' }, count: 0 },
    ])('by $query has the $count that match, newest first', async ({ query, count }) => {
      const { start_date = MOMENTS[0]!, end_date = MOMENTS[3]!, ...equal } = query;
      const [from, to] = [Date.parse(start_date), Date.parse(end_date === DAY ? last : end_date)];
      const expected = rows
        .filter((row) => Date.parse(row['timestamp']!) >= from && Date.parse(row['timestamp']!) <= to)
        .filter((row) => Object.entries(equal).every(([field, value]) => row[field] === value.toLowerCase()));
      expect(expected).toHaveLength(count);
      expect(await find({ end_date: MOMENTS[3]!, ...query, limit: '100' })).toEqual(expected);
    });

    it('is the same page by page, newest first, whatever comes in meanwhile', async () => {
      const places = rows.map(({ timestamp, id }) => `${timestamp} ${id}`);
      expect(places).toEqual([...places].sort().reverse());
      const seen: AuditRow[] = [];
      for (let cursor: string | null = ''; cursor !== null; await aProduct(test)) {
        const reply: Reply = await search({ limit: '10', end_date: MOMENTS[3]!, ...(cursor && { cursor }) });
        seen.push(...dataOf(reply));
        cursor = reply.body.page.next_cursor;
      }
      expect(seen).toEqual(rows);
    });

    it('takes a cursor only with the filters that it came with', async () => {
      const { next_cursor: cursor } = (await search({ limit: '1', actor })).body.page;
      expect((await search({ limit: '5', actor, cursor })).status).toBe(200);
      const others: Record<string, string>[] = [
        {},
        { actor: BY_SYSTEM },
        { actor, object_id },
        { actor, end_date: DAY },
      ];
      for (const query of others) {
        expect(await search({ ...query, cursor })).toMatchObject({ status: 400, body: { code: 'invalid_cursor' } });
      }
    });

    it.each([
      ...['actor=ada', 'actor=user:17', 'action=order.lost', 'object_type=cat', 'object_id=17', 'request_id='],
      ...['start_date=now', 'end_date=2026-13-01', 'limit=0', 'limit=101', 'sort=oldest'],
    ])('refuses %s instead of guessing', async (query) => {
      const reply = await test.admin.get(`/api/audit-logs?${query}`);
      expect(reply).toMatchObject({
        status: 400,
        body: { code: 'validation_failed', errors: [{ field: query.split('=')[0] }] },
      });
    });
  });
});
