import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { RequestContext } from '../../src/platform/context/request-context';
import type { Reply } from '../support/api';
import { aProduct, aReservation, dataOf, letTimePass } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

const VERSION_7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(() => test.close());

interface Written {
  request_id: string;
  actor: string;
}

const auditOf = (objectId: string): Promise<Written[]> =>
  test.database.query<Written>(
    'SELECT request_id, actor FROM audit_logs WHERE object_id = $1 ORDER BY created_at, id',
    [objectId],
  );

describe('The request id', () => {
  it('is taken over when it is a UUID, in lower case', async () => {
    const id = randomUUID();
    const reply = await test.anonymous.get('/api/products', { 'X-Request-Id': id.toUpperCase() });
    expect([reply.headers['x-request-id'], reply.body.request_id]).toEqual([id, id]);
  });

  it.each([
    '',
    'abc',
    '1',
    `${randomUUID()}0`,
    `{${randomUUID()}}`,
    randomUUID().replaceAll('-', ''),
    `${randomUUID()}, ${randomUUID()}`,
  ])('is replaced by a new one when it is not a UUID: "%s"', async (given) => {
    const replies = [0, 1].map(() => test.anonymous.get('/api/products', { 'X-Request-Id': given }));
    const [first, second] = (await Promise.all(replies)) as [Reply, Reply];
    expect(first.headers['x-request-id']).toMatch(VERSION_7);
    expect(first.body.request_id).toBe(first.headers['x-request-id']);
    expect(second.body.request_id).not.toBe(first.body.request_id);
  });

  const json = { 'Content-Type': 'application/json' };
  it.each<[string, number, (id: Record<string, string>) => Promise<Reply>]>([
    ['a broken rule', 400, (id) => test.admin.post('/api/products', {}, id)],
    ['malformed JSON', 400, (id) => test.admin.post('/api/products', '{', { ...id, ...json })],
    ['a malformed URL', 400, (id) => test.admin.get('/api/products/%', id)],
    ['no token', 401, (id) => test.anonymous.get('/api/orders', id)],
    ['the wrong role', 403, (id) => test.aUser().get('/api/audit-logs', id)],
    ['an unknown route', 404, (id) => test.anonymous.get('/nothing', id)],
    ['a path that is too long', 404, (id) => test.anonymous.get(`/api/products/${'a'.repeat(300)}`, id)],
    ['another method', 405, (id) => test.anonymous.send('delete', '/api/orders', undefined, id)],
    ['a huge body', 413, (id) => test.admin.post('/api/products', { x: 'x'.repeat(300_000) }, id)],
    ['no JSON', 415, (id) => test.admin.post('/api/products', 'x', { ...id, 'Content-Type': 'text/plain' })],
  ])('stands in header and body of a failure: %s', async (_, status, ask) => {
    const id = randomUUID();
    const { headers, body } = await ask({ 'X-Request-Id': id });
    expect([body.status, body.request_id, headers['x-request-id']]).toEqual([status, id, id]);
  });

  it.each(['/docs', '/redoc', '/openapi.json', '/metrics', '/health/live', '/problems/not-found'])(
    'stands on what has no envelope: %s',
    async (path) => {
      const id = randomUUID();
      expect((await test.anonymous.get(path, { 'X-Request-Id': id })).headers['x-request-id']).toBe(id);
    },
  );

  it('stands on the answer to what is not even HTTP', async () => {
    const { hostname, port } = new URL(test.url);
    const answer = await new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = connect(Number(port), hostname, () => socket.write('this is not HTTP\r\n\r\n'));
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.on('end', () => resolve(text)).on('error', reject);
    });
    const [head, body] = answer.split('\r\n\r\n') as [string, string];
    const problem = JSON.parse(body) as { code: string; request_id: string };
    expect(problem).toMatchObject({ code: 'malformed_json', request_id: expect.stringMatching(VERSION_7) });
    expect(head).toMatch(/^HTTP\/1\.1 400 /);
    expect(head).toContain(`X-Request-Id: ${problem.request_id}`);
  });
});

describe('The same request id', () => {
  it('stands in the audit rows and stock movements that a request with a body caused', async () => {
    const { admin, database } = test;
    const id = randomUUID();
    const body = { sku: randomUUID(), name: 'Mug', price: 1, initial_stock: 3 };
    const product = dataOf(await admin.post('/api/products', body, { 'X-Request-Id': id }));
    const written = { request_id: id, actor: `user:${admin.userId}` };
    expect(await auditOf(product.id)).toEqual([written]);
    expect(
      await database.query('SELECT request_id, actor FROM stock_movements WHERE product_id = $1', [product.id]),
    ).toEqual([written]);
  });

  it('stands there too when the body came after the head of its request', async () => {
    const id = randomUUID();
    const body = JSON.stringify({ sku: randomUUID(), name: 'Mug', price: 1 });
    const headers = {
      Authorization: `Bearer ${test.admin.token}`,
      'Content-Type': 'application/json',
      'Content-Length': body.length,
      'X-Request-Id': id,
      Expect: '100-continue',
    };
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const call = httpRequest(`${test.url}/api/products`, { method: 'POST', headers }, (reply) =>
        resolve(reply.resume().statusCode),
      );
      // The server says this when it has read the head, so the body arrives by an event of its own.
      call
        .on('continue', () => call.end(body))
        .on('error', reject)
        .flushHeaders();
    });
    const rows = await test.database.query<Written>('SELECT request_id, actor FROM audit_logs WHERE request_id = $1', [
      id,
    ]);
    expect([status, rows]).toEqual([201, [{ request_id: id, actor: `user:${test.admin.userId}` }]]);
  });

  it('stays with its own request while many run at once', async () => {
    const product = await aProduct(test, { initial_stock: 30 });
    const ids = Array.from({ length: 30 }, () => randomUUID());
    const users = ids.map(() => test.aUser());
    const line = { product_id: product.id, quantity: 1 };
    const replies = await Promise.all(
      ids.map((id, index) => users[index]!.post('/api/reservations', line, { 'X-Request-Id': id })),
    );
    for (const [index, reply] of replies.entries()) {
      expect(reply.body.request_id).toBe(ids[index]);
      expect(await auditOf(dataOf(reply).id)).toEqual([
        { request_id: ids[index], actor: `user:${users[index]!.userId}` },
      ]);
    }
    const movements = await test.database.query<Written>(
      `SELECT request_id, actor FROM stock_movements WHERE product_id = $1 AND reservation_id IS NOT NULL`,
      [product.id],
    );
    const expected = ids.map((id, index) => ({ request_id: id, actor: `user:${users[index]!.userId}` }));
    expect(movements.sort((a, b) => a.request_id.localeCompare(b.request_id))).toEqual(
      expected.sort((a, b) => a.request_id.localeCompare(b.request_id)),
    );
  });

  it('finds what a request did, through the audit log', async () => {
    const id = randomUUID();
    const product = await aProduct(test);
    const order = dataOf(
      await test
        .aUser()
        .post('/api/orders', { items: [{ product_id: product.id, quantity: 1 }] }, { 'X-Request-Id': id }),
    );
    const rows = dataOf(await test.admin.get(`/api/audit-logs?request_id=${id.toUpperCase()}`));
    expect(rows.map((row: { action: string }) => row.action).sort()).toEqual(['order.created', 'reservation.created']);
    expect(rows.map((row: { object_id: string }) => row.object_id)).toContain(order.id);
  });

  it('is a new one for every run of a job, which signs with its name', async () => {
    const product = await aProduct(test);
    const reservations = [
      await aReservation(test.aUser(), product.id),
      await aReservation(test.aUser(), product.id),
    ] as const;
    for (const { id } of reservations) {
      await letTimePass(test, id);
      await test.sweep();
    }
    const [[, first], [, second]] = [await auditOf(reservations[0].id), await auditOf(reservations[1].id)];
    expect([first!.actor, second!.actor]).toEqual(['system:reservation-expiry', 'system:reservation-expiry']);
    expect(first!.request_id).toMatch(VERSION_7);
    expect(second!.request_id).not.toBe(first!.request_id);
  });

  it('is not to be had outside of a request', () => {
    const context = test.app.get(RequestContext);
    expect(() => context.requestId).toThrow('There is no request context here');
    expect(context.actorName).toBeUndefined();
  });
});
