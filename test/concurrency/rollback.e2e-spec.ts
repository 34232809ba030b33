import { randomUUID } from 'node:crypto';
import { type Api, type Reply } from '../support/api';
import { rowCounts, type TestDatabase } from '../support/database';
import {
  anOrder,
  aProduct,
  aReservation,
  aWarehouse,
  bring,
  dataOf,
  expectReconciled,
  letTimePass,
} from '../support/factories';
import { startTestApp, type TestApp, unique } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';

/** Raises when a row of a poisoned request, key or action is written: at once, or only at COMMIT. */
const TRIGGERS = `
  CREATE TABLE poison (what text PRIMARY KEY);
  CREATE FUNCTION fail_if_poisoned() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    row jsonb := to_jsonb(NEW);
  BEGIN
    IF EXISTS (SELECT FROM poison WHERE what IN (TG_ARGV[0] || (row->>'request_id'), TG_ARGV[0] || (row->>'action'), TG_ARGV[0] || (row->>'key'))) THEN
      RAISE EXCEPTION 'the inside of the house';
    END IF;
    RETURN NEW;
  END $$;
  CREATE TRIGGER fail_at_key BEFORE UPDATE ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION fail_if_poisoned('key ');
  CREATE TRIGGER fail_at_audit BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION fail_if_poisoned('audit ');
  CREATE CONSTRAINT TRIGGER fail_at_commit AFTER INSERT ON audit_logs DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fail_if_poisoned('commit ')`;

const poison = ({ query }: TestDatabase, what: string): Promise<object[]> =>
  query('INSERT INTO poison VALUES ($1)', [what]);
const heal = ({ query }: TestDatabase): Promise<object[]> => query('DELETE FROM poison');

/** Every row of every table: the counts, so that a failure says where, and a sum over what stands in them. */
async function contents(database: TestDatabase): Promise<object> {
  const counts = await rowCounts(database);
  const sums = Object.keys(counts).map(
    (table) => `SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM ${table} AS t`,
  );
  return { counts, sums: await database.query(sums.join(' UNION ALL ')) };
}

interface Attempt {
  who: Api;
  method: 'post' | 'patch';
  path: string;
  body?: object;
}

/** Every operation that writes: each prepares what it needs, and says how it is asked for. */
const OPERATIONS: Record<string, (test: TestApp) => Promise<Attempt>> = {
  'the registration of a user': async ({ anonymous }) => {
    const body = { email: `${unique('ada')}@example.com`, password: 'correct horse battery' };
    return { who: anonymous, method: 'post', path: '/api/auth/register', body };
  },
  'a new product': async ({ admin }) => {
    const body = { sku: unique('SKU'), name: 'Red mug', price: '9.90', initial_stock: 5 };
    return { who: admin, method: 'post', path: '/api/products', body };
  },
  'a change of a product': async (test) => {
    const { id } = await aProduct(test);
    return { who: test.admin, method: 'patch', path: `/api/products/${id}`, body: { price: '1.00', is_active: false } };
  },
  'a new warehouse': async ({ admin }) => ({
    who: admin,
    method: 'post',
    path: '/api/warehouses',
    body: { code: unique('WH'), name: 'New' },
  }),
  'a change of a warehouse': async (test) => {
    const { id } = await aWarehouse(test);
    return { who: test.admin, method: 'patch', path: `/api/warehouses/${id}`, body: { priority: 7, is_active: false } };
  },
  'a stock adjustment in a new warehouse': async (test) => {
    const [{ id }, warehouse] = [await aProduct(test), await aWarehouse(test)];
    const body = { delta: 3, reason: 'delivery', warehouse_id: warehouse.id };
    return { who: test.admin, method: 'post', path: `/api/products/${id}/stock-adjustments`, body };
  },
  'a stock transfer': async (test) => {
    const [product, warehouse] = [await aProduct(test), await aWarehouse(test)];
    const body = { product_id: product.id, from_warehouse_id: MAIN, to_warehouse_id: warehouse.id, quantity: 4 };
    return { who: test.admin, method: 'post', path: '/api/stock-transfers', body };
  },
  'a reservation of two products': async (test) => {
    const items = [await aProduct(test), await aProduct(test)].map(({ id }) => ({ product_id: id, quantity: 2 }));
    return { who: test.aUser(), method: 'post', path: '/api/reservations', body: { items } };
  },
  'the commit of a reservation': async (test) => {
    const user = test.aUser();
    const { id } = await aReservation(user, (await aProduct(test)).id);
    return { who: user, method: 'post', path: `/api/reservations/${id}/commit` };
  },
  'the commit of a reservation with an order': async (test) => {
    const user = test.aUser();
    const { reservation_id: id } = await anOrder(user, (await aProduct(test)).id);
    return { who: user, method: 'post', path: `/api/reservations/${id}/commit` };
  },
  'the cancellation of a reservation with an order': async (test) => {
    const user = test.aUser();
    const { reservation_id: id } = await anOrder(user, (await aProduct(test)).id);
    return { who: user, method: 'post', path: `/api/reservations/${id}/cancel` };
  },
  'the extension of a reservation': async (test) => {
    const user = test.aUser();
    const { id } = await aReservation(user, (await aProduct(test)).id);
    return { who: user, method: 'post', path: `/api/reservations/${id}/extend`, body: { ttl_seconds: 900 } };
  },
  'an order from items': async (test) => {
    const items = [await aProduct(test), await aProduct(test)].map(({ id }) => ({ product_id: id, quantity: 2 }));
    return { who: test.aUser(), method: 'post', path: '/api/orders', body: { items } };
  },
  'an order from a reservation': async (test) => {
    const user = test.aUser();
    const { id } = await aReservation(user, (await aProduct(test)).id);
    return { who: user, method: 'post', path: '/api/orders', body: { reservation_id: id } };
  },
  'the confirmation of an order': (test) => aStatusChange(test, [], 'confirmed'),
  'the cancellation of a pending order': (test) => aStatusChange(test, [], 'cancelled'),
  'the cancellation of a confirmed order': (test) => aStatusChange(test, ['confirmed'], 'cancelled'),
  'the shipping of an order': (test) => aStatusChange(test, ['confirmed', 'processing'], 'shipped'),
};

async function aStatusChange(test: TestApp, before: string[], status: string): Promise<Attempt> {
  const { id } = await anOrder(test.aUser(), (await aProduct(test)).id);
  await bring(test, id, ...before);
  return { who: test.admin, method: 'patch', path: `/api/orders/${id}/status`, body: { status } };
}

describe('What fails leaves nothing behind', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ LOG_LEVEL: 'fatal' });
    await test.database.query(TRIGGERS);
  });
  afterEach(async () => {
    await heal(test.database);
    await expectReconciled(test);
  });
  afterAll(() => test.close());

  function expectInternalError({ status, body, text }: Reply): void {
    expect([status, body.code]).toEqual([500, 'internal_error']);
    expect(Object.keys(body).sort()).toEqual(['code', 'detail', 'instance', 'request_id', 'status', 'title', 'type']);
    expect(text).not.toMatch(/inside|poison|trigger|audit|idempotency_keys|SQL|\.ts/);
  }

  it.each(
    Object.keys(OPERATIONS).flatMap(
      (name) =>
        [
          [name, 'its last statement'],
          [name, 'COMMIT'],
        ] as const,
    ),
  )('rolls back %s when %s fails, and carries it out when it is asked for again', async (name, where) => {
    const { who, method, path, body } = await OPERATIONS[name]!(test);
    const [key, requestId] = [randomUUID(), randomUUID()];
    const send = (id: string): Promise<Reply> =>
      who.send(method, path, body, { 'Idempotency-Key': key, 'X-Request-Id': id });
    const last = method === 'post' ? `key ${key}` : `audit ${requestId}`;
    await poison(test.database, where === 'COMMIT' ? `commit ${requestId}` : last);
    const before = await contents(test.database);

    const failed = await send(requestId);
    expectInternalError(failed);
    expect(failed.body.request_id).toBe(requestId);
    expect(await contents(test.database)).toEqual(before);

    await heal(test.database);
    const done = await send(requestId);
    expect(done.status).toBeLessThan(300);
    expect(done.headers['idempotent-replayed']).toBeUndefined();
    expect(await contents(test.database)).not.toEqual(before);
  });

  it('rolls back a whole batch of the sweep when its COMMIT fails, and the next run expires it', async () => {
    const [product, user] = [await aProduct(test), test.aUser()];
    await letTimePass(test, (await aReservation(user, product.id)).id);
    await letTimePass(test, (await anOrder(user, product.id)).reservation_id);
    const before = await contents(test.database);
    await poison(test.database, 'commit reservation.expired');
    // Whether the sweep throws or only logs it: it must not count what it did not expire.
    expect(await test.sweep().catch(() => 0)).toBe(0);
    expect(await contents(test.database)).toEqual(before);
    await heal(test.database);
    expect(await test.sweep()).toBe(2);
  });

  it('sells nothing and keeps the overdue hold, when that cannot be expired', async () => {
    const product = await aProduct(test, { initial_stock: 1 });
    await letTimePass(test, (await aReservation(test.aUser(), product.id)).id);
    const before = await contents(test.database);
    await poison(test.database, 'audit reservation.expired');
    const [buyer, key] = [test.aUser(), randomUUID()];
    const buy = (): Promise<Reply> =>
      buyer.post('/api/reservations', { product_id: product.id, quantity: 1 }, { 'Idempotency-Key': key });
    const { status, text } = await buy();
    expect([409, 500]).toContain(status);
    expect(text).not.toContain('inside');
    expect(await contents(test.database)).toEqual(before);
    await heal(test.database);
    expect((await buy()).status).toBe(201);
  });

  it('counts no reservation that was rolled back', async () => {
    const [product, user, requestId] = [await aProduct(test), test.aUser(), randomUUID()];
    const created = async (): Promise<string | undefined> =>
      /^holdfast_reservations_total\{outcome="created"\} (\d+)$/m.exec(
        (await test.anonymous.get('/metrics')).text,
      )?.[1];
    dataOf(await user.post('/api/reservations', { product_id: product.id, quantity: 1 }));
    const before = await created();
    expect(before).toBeDefined();
    await poison(test.database, `commit ${requestId}`);
    expectInternalError(
      await user.post('/api/reservations', { product_id: product.id, quantity: 1 }, { 'X-Request-Id': requestId }),
    );
    expect(await created()).toBe(before);
  });
});
