import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { PROBLEMS, problemType } from '../../src/platform/errors/problem-catalogue';
import { log } from '../../src/platform/logging/logger';
import type { Reply } from '../support/api';
import { startTestApp, type TestApp } from '../support/test-app';

const JSON_TYPE = { 'Content-Type': 'application/json' };
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

interface Taker {
  parameters?: { in: string; name: string }[];
}

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(() => test.close());

/** The fields that a validation failure names. */
function fieldsOf({ status, body }: Reply): string[] {
  expect([status, body.code]).toEqual([400, 'validation_failed']);
  return body.errors.map((error: { field: string }) => error.field);
}

describe('Every failure', () => {
  const failures: [string, number, string, () => Promise<Reply>][] = [
    ['a broken rule', 400, 'validation_failed', () => test.admin.post('/api/products?x=1', {})],
    ['an unfinished JSON body', 400, 'malformed_json', () => test.admin.post('/api/products', '{"sku":', JSON_TYPE)],
    ['a foreign cursor', 400, 'invalid_cursor', () => test.anonymous.get('/api/products?cursor=abc')],
    ['a bad percent-encoding', 400, 'validation_failed', () => test.anonymous.get('/api/products/%E0%A4%A')],
    ['no token', 401, 'unauthenticated', () => test.anonymous.get('/api/orders')],
    ['the wrong role', 403, 'forbidden', () => test.aUser().get('/api/audit-logs')],
    ['an unknown route', 404, 'not_found', () => test.anonymous.get('/api/nothing-here')],
    ['an unknown thing', 404, 'not_found', () => test.admin.get(`/api/orders/${randomUUID()}`)],
    ['a path that is too long', 404, 'not_found', () => test.anonymous.get(`/api/products/${'a'.repeat(2000)}`)],
    ['another method', 405, 'method_not_allowed', () => test.anonymous.send('put', '/api/orders')],
    ['a huge body', 413, 'payload_too_large', () => test.admin.post('/api/products', { name: 'x'.repeat(97 * 1024) })],
    [
      'plain text',
      415,
      'unsupported_media_type',
      () => test.admin.post('/api/products', 'x', { 'Content-Type': 'text/plain' }),
    ],
  ];

  it.each(failures)('is a problem document: %s', async (_, status, code, ask) => {
    const reply = await ask();
    expect(reply.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(reply.headers['x-request-id']).toMatch(UUID);
    expect({ httpStatus: reply.status, ...reply.body }).toMatchObject({
      httpStatus: status,
      type: `/problems/${code.replaceAll('_', '-')}`,
      title: expect.stringMatching(/\S/),
      status,
      detail: expect.stringMatching(/\S/),
      instance: expect.stringMatching(/^\/api\/[^?]*$/),
      code,
      request_id: reply.headers['x-request-id'],
    });
  });

  it.each(Object.keys(PROBLEMS) as (keyof typeof PROBLEMS)[])('has a page behind its type: %s', async (code) => {
    const page = await test.anonymous.get(problemType(code));
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.text).toContain(PROBLEMS[code].title);
  });

  it.each(['nope', 'not_found', 'constructor', '__proto__', '%00', 'NOT-FOUND'])('has no page for %s', async (code) => {
    expect((await test.anonymous.get(`/problems/${code}`)).body).toMatchObject({ status: 404, code: 'not_found' });
  });

  it('tells nothing of the inside when the service itself is at fault', async () => {
    await test.database.query('ALTER TABLE audit_logs RENAME TO hidden_logs');
    log.level = 'silent';
    const reply = await test.admin.post('/api/warehouses', { code: 'X', name: 'x' });
    log.level = 'error';
    await test.database.query('ALTER TABLE hidden_logs RENAME TO audit_logs');
    expect(reply.body).toEqual({
      type: '/problems/internal-error',
      title: PROBLEMS.internal_error.title,
      status: 500,
      detail: 'An unexpected error occurred; the log has the details under this request_id',
      instance: '/api/warehouses',
      code: 'internal_error',
      request_id: reply.headers['x-request-id'],
    });
    expect(await test.database.query("SELECT 1 FROM warehouses WHERE code = 'X'")).toEqual([]);
  });
});

describe('Validation', () => {
  it('names all broken rules at once, nested ones by their path, each once', async () => {
    const items = [
      { product_id: 'x', quantity: 0 },
      { product_id: randomUUID(), quantity: '1', colour: 'red' },
    ];
    const reply = await test.aUser().post('/api/reservations', { items, ttl_seconds: 0.5, note: 'hi' });
    const fields = fieldsOf(reply);
    expect([...new Set(fields)].sort()).toEqual([
      'items.0.product_id',
      'items.0.quantity',
      'items.1.colour',
      'items.1.quantity',
      'note',
      'ttl_seconds',
    ]);
    const messages = reply.body.errors.map((error: object) => JSON.stringify(error));
    expect(new Set(messages).size).toBe(messages.length);
    expect(reply.body.errors).toContainEqual({
      field: 'items.0.quantity',
      message: 'quantity must be a whole number from 1 to 1000000',
    });
  });

  it.each([
    ['null', { sku: null, name: null, price: null }],
    ['a number for a text', { sku: 1, name: 2, price: true }],
    ['a list for a text', { sku: [], name: ['a'], price: [1] }],
    ['an object for a text', { sku: {}, name: { a: 1 }, price: {} }],
  ])('refuses %s', async (_, body) => {
    expect([...new Set(fieldsOf(await test.admin.post('/api/products', body)))].sort()).toEqual([
      'name',
      'price',
      'sku',
    ]);
  });

  it('does not take null for a field that was left out', async () => {
    const body = { sku: 'A', name: 'A', price: 1, initial_stock: null, currency: null, warehouse_id: null };
    expect([...new Set(fieldsOf(await test.admin.post('/api/products', body)))].sort()).toEqual([
      'currency',
      'initial_stock',
      'warehouse_id',
    ]);
  });

  it.each(['[]', '[{"sku":"A"}]', '"text"', '1', 'null', 'true'])(
    'refuses a body that is not an object: %s',
    async (body) => {
      const reply = await test.admin.post('/api/products', body, JSON_TYPE);
      expect(reply.body).toMatchObject({
        code: 'validation_failed',
        errors: [{ field: 'body', message: 'body must be a JSON object' }],
      });
    },
  );

  it('treats an empty body as one without fields', async () => {
    const replies = [await test.admin.post('/api/products', '', JSON_TYPE), await test.admin.post('/api/products')];
    for (const reply of replies) {
      expect([...new Set(fieldsOf(reply))].sort()).toEqual(['name', 'price', 'sku']);
    }
  });

  it.each(['toString', 'hasOwnProperty', 'constructor', 'valueOf', '__defineGetter__'])(
    'refuses an unknown field even when it is called %s',
    async (name) => {
      const id = randomUUID();
      const body = { items: [{ product_id: id, quantity: 1, [name]: 1 }], [name]: 1 };
      expect(fieldsOf(await test.aUser().post('/api/reservations', body)).sort()).toEqual(
        [name, `items.0.${name}`].sort(),
      );
      expect(fieldsOf(await test.anonymous.get(`/api/products?${name}=1`))).toEqual([name]);
    },
  );

  it('refuses an unknown field in the query, also where a route takes no query or no body', async () => {
    const { admin, anonymous } = test;
    expect(fieldsOf(await anonymous.get('/api/products?colour=red&__proto__=1'))).toEqual(['colour', '__proto__']);
    expect(fieldsOf(await admin.get(`/api/orders/${randomUUID()}?expand=items`))).toEqual(['expand']);
    expect(fieldsOf(await admin.post('/api/warehouses?dry_run=true', { code: 'W', name: 'W' }))).toEqual(['dry_run']);
    expect(fieldsOf(await admin.post(`/api/reservations/${randomUUID()}/commit`, { express: true }))).toEqual([
      'express',
    ]);
    expect(fieldsOf(await admin.post(`/api/reservations/${randomUUID()}/cancel`, [1]))).toEqual(['body']);
  });

  it('refuses a parameter that is given twice, in every list, but those that take several', async () => {
    const { paths } = (await test.anonymous.get('/openapi.json')).body as { paths: Record<string, { get?: Taker }> };
    const parameters = Object.entries(paths).flatMap(([path, { get }]) =>
      (get?.parameters ?? []).filter((one) => one.in === 'query').map(({ name }) => ({ path, name })),
    );
    expect(parameters.length).toBeGreaterThan(25);
    for (const { path, name } of parameters) {
      const reply = await test.admin.get(`${path.replace('{id}', randomUUID())}?${name}=1&${name}=1`);
      const message = ['/api/orders status', '/api/events types', '/api/events/stream types'].includes(
        `${path} ${name}`,
      )
        ? expect.stringMatching(`^${name} must be one or several, comma-separated, of `)
        : `${name} must be given once`;
      expect([path, reply.body.errors]).toEqual([path, [{ field: name, message }]]);
    }
  });

  it.each([
    'limit=1&limit=2',
    'limit=',
    'limit=0',
    'limit=101',
    'limit=1.0',
    'limit=%201',
    'limit=1e1',
    'limit=0x1',
    'limit',
    'q=a&q=b',
    'q=a&q=a',
    'in_stock=1',
    'in_stock=',
  ])('guesses nothing in the query: %s', async (query) => {
    expect(fieldsOf(await test.anonymous.get(`/api/products?${query}`))).toContain(query.split('=')[0]);
  });
});

describe('The body', () => {
  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/xml',
    'multipart/form-data; boundary=x',
    'nonsense',
    undefined,
  ])('must be sent as JSON, not as %s', async (type) => {
    const headers = {
      Authorization: `Bearer ${test.admin.token}`,
      ...(type === undefined ? {} : { 'Content-Type': type }),
    };
    const reply = await fetch(`${test.url}/api/products`, { method: 'POST', headers, body: Buffer.from('{}') });
    expect([reply.status, await reply.json()]).toEqual([
      415,
      expect.objectContaining({ code: 'unsupported_media_type' }),
    ]);
  });
});

describe('A known path', () => {
  const id = randomUUID();
  it.each([
    ['put', '/api/products', 'GET, HEAD, POST'],
    ['delete', `/api/products/${id}`, 'GET, HEAD, PATCH'],
    ['get', `/api/products/${id}/stock-adjustments`, 'POST'],
    ['post', `/api/orders/${id}/status`, 'PATCH'],
    ['patch', `/api/orders/${id}`, 'GET, HEAD'],
    ['get', '/api/auth/login', 'POST'],
    ['options', '/api/orders/', 'GET, HEAD, POST'],
    ['post', '/health/live', 'GET, HEAD'],
    ['post', '/metrics', 'GET, HEAD'],
    ['delete', '/docs', 'GET, HEAD'],
    ['delete', '/problems/not-found', 'GET, HEAD'],
  ] as const)('answers %s %s with the methods that it allows', async (method, path, allow) => {
    const reply = await test.anonymous.send(method, path);
    expect([reply.status, reply.body.code, reply.headers['allow']]).toEqual([405, 'method_not_allowed', allow]);
  });

  it.each([
    ['text/plain', 'x'],
    ['application/json', '{'],
  ])('says so before it looks at the body, here one of %s', async (type, body) => {
    const reply = await test.anonymous.send('put', '/api/orders', body, { 'Content-Type': type });
    expect([reply.status, reply.body.code]).toEqual([405, 'method_not_allowed']);
  });

  it('does not know TRACE either', async () => {
    const status = await new Promise((resolve, reject) => {
      httpRequest(`${test.url}/api/orders`, { method: 'TRACE' }, (reply) => resolve(reply.resume().statusCode))
        .on('error', reject)
        .end();
    });
    expect(status).toBe(405);
  });

  it('is the same with a slash at its end', async () => {
    expect((await test.anonymous.get('/api/products/?limit=1')).status).toBe(200);
    expect((await test.admin.get(`/api/orders/${id}/`)).body.code).toBe('not_found');
    expect(fieldsOf(await test.admin.post('/api/products/', {}))).toContain('sku');
  });

  it('answers HEAD like GET, without a body', async () => {
    const reply = await fetch(`${test.url}/api/products`, { method: 'HEAD' });
    expect([reply.status, reply.headers.get('content-type'), await reply.text()]).toEqual([
      200,
      'application/json; charset=utf-8',
      '',
    ]);
    expect((await fetch(`${test.url}/api/orders`, { method: 'HEAD' })).status).toBe(401);
  });
});
