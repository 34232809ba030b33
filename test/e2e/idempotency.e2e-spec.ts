import { randomUUID } from 'node:crypto';
import { WebhookFanOut } from '../../src/events/webhooks/webhook-fan-out';
import type { Api, Reply } from '../support/api';
import { rowCounts } from '../support/database';
import { aProduct, aReservation, aWarehouse, dataOf, expectReconciled, stockOf } from '../support/factories';
import { startTestApp, type TestApp, unique } from '../support/test-app';

const PASSWORD = 'correct horse battery';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(() => test.close());

const keyed = (key: string): { 'Idempotency-Key': string } => ({ 'Idempotency-Key': key });

/** What a repeated request must give again: all but its own id. */
function answerOf({ status, body, headers }: Reply): object {
  return { status, data: body.data, location: headers['location'] };
}

interface Post {
  caller: Api;
  path: string;
  body?: object;
}

const RECEIVER = { url: 'https://shop.example/webhooks' };

/** A request for every POST of the contract but the log-in, each with a precondition of its own. */
const POSTS: Record<string, () => Promise<Post>> = {
  'auth/register': async () => ({
    caller: test.anonymous,
    path: '/api/auth/register',
    body: { email: `${unique('u')}@example.com`, password: PASSWORD },
  }),
  products: async () => ({
    caller: test.admin,
    path: '/api/products',
    body: { sku: unique('SKU'), name: 'Mug', price: '1.50', initial_stock: 3 },
  }),
  'products/{id}/stock-adjustments': async () => {
    const { id } = await aProduct(test);
    return { caller: test.admin, path: `/api/products/${id}/stock-adjustments`, body: { delta: -2, reason: 'broken' } };
  },
  warehouses: async () => ({
    caller: test.admin,
    path: '/api/warehouses',
    body: { code: unique('WH'), name: 'Second' },
  }),
  'stock-transfers': async () => {
    const [product, to] = [await aProduct(test), await aWarehouse(test)];
    const [{ warehouse_id: from }] = dataOf(await test.admin.get(`/api/products/${product.id}`)).stock_levels;
    return {
      caller: test.admin,
      path: '/api/stock-transfers',
      body: { product_id: product.id, from_warehouse_id: from, to_warehouse_id: to.id, quantity: 4 },
    };
  },
  reservations: async () => ({
    caller: test.aUser(),
    path: '/api/reservations',
    body: { product_id: (await aProduct(test)).id, quantity: 2 },
  }),
  ...Object.fromEntries(
    ['commit', 'cancel', 'extend'].map((deed) => [
      `reservations/{id}/${deed}`,
      async () => {
        const caller = test.aUser();
        const { id } = await aReservation(caller, (await aProduct(test)).id);
        return {
          caller,
          path: `/api/reservations/${id}/${deed}`,
          body: deed === 'extend' ? { ttl_seconds: 900 } : undefined,
        };
      },
    ]),
  ),
  orders: async () => {
    const items = [{ product_id: (await aProduct(test)).id, quantity: 2 }];
    return { caller: test.aUser(), path: '/api/orders', body: { items } };
  },
  'webhook-endpoints': async () => ({ caller: test.admin, path: '/api/webhook-endpoints', body: RECEIVER }),
  ...Object.fromEntries(
    ['test', 'rotate-secret', 'recover'].map((deed) => [
      `webhook-endpoints/{id}/${deed}`,
      async () => {
        const { id } = dataOf(await test.admin.post('/api/webhook-endpoints', RECEIVER));
        const body = deed === 'recover' ? { since: '2026-01-01T00:00:00Z' } : undefined;
        return { caller: test.admin, path: `/api/webhook-endpoints/${id}/${deed}`, body };
      },
    ]),
  ),
  'webhook-deliveries/{id}/retry': async () => {
    const fanOut = test.app.get(WebhookFanOut, { strict: false });
    await fanOut.run();
    const endpoint = dataOf(await test.admin.post('/api/webhook-endpoints', RECEIVER));
    dataOf(await test.admin.post(`/api/webhook-endpoints/${endpoint.id}/test`));
    await test.tick();
    while (await fanOut.run()) {}
    const [{ id }] = dataOf(await test.admin.get(`/api/webhook-deliveries?endpoint_id=${endpoint.id}`));
    return { caller: test.admin, path: `/api/webhook-deliveries/${id}/retry` };
  },
};

describe('A POST under an Idempotency-Key', () => {
  it.each(Object.keys(POSTS))('gives its first answer again and does nothing twice: %s', async (name) => {
    const { caller, path, body } = await POSTS[name]!();
    const key = randomUUID();
    const first = await caller.post(path, body, keyed(key));
    dataOf(first);
    expect(first.headers).not.toHaveProperty('idempotent-replayed');
    const rows = await rowCounts(test.database);

    for (const again of [await caller.post(path, body, keyed(key)), await caller.post(`${path}/`, body, keyed(key))]) {
      expect(answerOf(again)).toEqual(answerOf(first));
      expect(again.headers['idempotent-replayed']).toBe('true');
      expect(again.body.request_id).toBe(again.headers['x-request-id']);
      expect(again.body.request_id).not.toBe(first.body.request_id);
    }
    expect(await rowCounts(test.database)).toEqual(rows);
    await expectReconciled(test);
  });

  it('covers every POST that there is', async () => {
    const { paths } = (await test.anonymous.get('/openapi.json')).body as { paths: Record<string, { post?: object }> };
    const posts = Object.keys(paths).filter((path) => paths[path]!.post);
    expect(posts.sort()).toEqual([...Object.keys(POSTS), 'auth/login'].map((name) => `/api/${name}`).sort());
  });

  it('keeps the Location, and the answer as it was although the thing has changed', async () => {
    const user = test.aUser();
    const { id: productId } = await aProduct(test);
    const [key, body] = [randomUUID(), { product_id: productId, quantity: 1 }];
    const first = await user.post('/api/reservations', body, keyed(key));
    expect(first.headers['location']).toBe(`/api/reservations/${dataOf(first).id}`);
    await user.post(`/api/reservations/${dataOf(first).id}/cancel`);
    const again = await user.post('/api/reservations', body, keyed(key));
    expect(answerOf(again)).toEqual(answerOf(first));
    expect(dataOf(again).status).toBe('active');
    expect(await stockOf(test, productId)).toEqual({ available: 10, reserved: 0, total: 10 });
  });

  it('without a key is carried out each time', async () => {
    const user = test.aUser();
    const { id } = await aProduct(test);
    const [first, second] = [await aReservation(user, id), await aReservation(user, id)];
    expect(first.id).not.toBe(second.id);
    expect(await stockOf(test, id)).toMatchObject({ reserved: 2 });
  });

  it('does not mind the order of the fields', async () => {
    const user = test.aUser();
    const { id } = await aProduct(test);
    const key = randomUUID();
    const first = await user.post(
      '/api/reservations',
      { items: [{ product_id: id, quantity: 1 }], ttl_seconds: 60 },
      keyed(key),
    );
    const again = await user.post(
      '/api/reservations',
      { ttl_seconds: 60, items: [{ quantity: 1, product_id: id }] },
      keyed(key),
    );
    expect(answerOf(again)).toEqual(answerOf(first));
    expect(again.headers['idempotent-replayed']).toBe('true');
  });

  it('with another body is 422, and changes nothing', async () => {
    const user = test.aUser();
    const { id } = await aProduct(test);
    const key = randomUUID();
    dataOf(await user.post('/api/reservations', { product_id: id, quantity: 1 }, keyed(key)));
    const rows = await rowCounts(test.database);
    for (const body of [
      { product_id: id, quantity: 2 },
      { product_id: id, quantity: 1, ttl_seconds: 600 },
      { items: [{ product_id: id, quantity: 1 }] },
    ]) {
      const reply = await user.post('/api/reservations', body, keyed(key));
      expect([reply.status, reply.body.code]).toEqual([422, 'idempotency_key_reused']);
    }
    expect(await rowCounts(test.database)).toEqual(rows);
  });

  const invalid: [string, string][] = [
    ['empty', ''],
    ['256 characters long', 'k'.repeat(256)],
    ['with a space', 'a b'],
    ['with a tab', 'a\tb'],
    ['beyond ASCII', 'clé'],
  ];
  it.each(invalid)('is refused when the key is %s, whichever POST it is', async (_, key) => {
    const posts = [
      ...Object.values(POSTS).map((make) => make()),
      Promise.resolve({
        caller: test.anonymous,
        path: '/api/auth/login',
        body: { email: 'a@example.com', password: PASSWORD },
      }),
    ];
    for (const { caller, path, body } of await Promise.all(posts)) {
      const reply = await caller.post(path, body, keyed(key));
      expect([path, reply.status, reply.body.code]).toEqual([path, 400, 'invalid_idempotency_key']);
    }
  });
});
