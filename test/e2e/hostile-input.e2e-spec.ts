import { randomUUID } from 'node:crypto';
import { log } from '../../src/platform/logging/logger';
import type { Reply } from '../support/api';
import { sendAsWritten } from '../support/as-written';
import { answersIn, exchangeRaw, type RawAnswer } from '../fuzz/raw-http';
import { startTestApp, type TestApp } from '../support/test-app';

interface Line {
  request_id: string;
}

const JSON_TYPE = { 'Content-Type': 'application/json' };

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

const getAsWritten = (path: string, headers = {}): Promise<Reply> => sendAsWritten(test.url, { path, headers });

describe('Hostile input', () => {
  it.each(['{"__proto__":{"role":"admin"}}', '{"items":[{"__proto__":{}}]}', '{"constructor":{"prototype":{"x":1}}}'])(
    'is refused when it reaches for a prototype: %s',
    async (body) => {
      expect((await test.admin.post('/api/reservations', body, JSON_TYPE)).body).toMatchObject({
        status: 400,
        code: 'malformed_json',
      });
      expect({}).not.toHaveProperty('role');
    },
  );

  it.each([
    ['NUL', '\\u0000'],
    ['a control character', '\\u0007'],
    ['half a surrogate pair', '\\ud800'],
  ])('is refused when a text holds %s', async (_, character) => {
    const text = `"a${character}b"`;
    const product = `{"sku":${text},"name":${text},"description":${text},"currency":${text},"price":${text}}`;
    const fields = fieldsOf(await test.admin.post('/api/products', product, JSON_TYPE));
    expect([...new Set(fields)].sort()).toEqual(['currency', 'description', 'name', 'price', 'sku']);

    const email = `"a${character}b@example.com"`;
    for (const path of ['/api/auth/register', '/api/auth/login']) {
      const reply = await test.anonymous.post(path, `{"email":${email},"password":"correct horse battery"}`, JSON_TYPE);
      expect(fieldsOf(reply)).toContain('email');
    }
  });

  const lists = ['/api/products', '/api/warehouses', '/api/reservations', '/api/orders', '/api/audit-logs'];
  const names = [
    'q',
    'status',
    'user_id',
    'product_id',
    'actor',
    'action',
    'object_id',
    'request_id',
    'start_date',
    'min_total',
    'sort',
    'limit',
    'cursor',
    '__proto__',
  ];
  it.each(lists)('is refused in the query of %s', async (path) => {
    const values = ['%00', 'a%00', '%07', '%ED%A0%80', '%FF', '%E0%A4%A', '%', "'", '{}', '-1', '9'.repeat(400)];
    for (const query of names.flatMap((name) => values.map((value) => `${name}=${value}`))) {
      const { status } = await test.admin.get(`${path}?${query}`);
      // What is well-formed text may be looked for; nothing else gets through, and nothing breaks.
      expect(`${query} ${status}`).toBe(`${query} ${query.startsWith('q=') && status === 200 ? 200 : 400}`);
    }
  });

  const id = '0199d1a2-7c3e-7b44-9f0e-3a5b1c2d4e6f';
  it.each([
    '%00',
    '%20',
    '..',
    '%2e%2e',
    id.slice(1),
    `${id}%20`,
    `%20${id}`,
    `${id}%00`,
    encodeURIComponent("'; DROP TABLE products; --"),
  ])('is refused as an id: %s', async (text) => {
    const { status, body } = await getAsWritten(`/api/products/${text}`);
    expect([status, body.code]).toEqual([400, 'validation_failed']);
    expect(body.errors).toEqual([{ field: 'id', message: 'id must be a UUID' }]);
  });

  it('is refused as a field without a name, and nothing looks into it', async () => {
    const body = { email: 'a', password: 'a', '': { toString: 1 }, prototype: {} };
    expect(fieldsOf(await test.anonymous.post('/api/auth/login', body))).toEqual(['', 'prototype']);
  });

  it('is refused when it is not UTF-8, instead of being changed on its way', async () => {
    const body = Buffer.from('{"sku":"A","name":"caf\u00e9","price":1}', 'latin1');
    const headers = { ...JSON_TYPE, Authorization: `Bearer ${test.admin.token}` };
    const reply = await fetch(`${test.url}/api/products`, { method: 'POST', headers, body });
    expect(await reply.json()).toMatchObject({ status: 400, code: 'malformed_json', detail: 'The body is not UTF-8' });
  });

  it('is passed over in Expect, which HTTP allows', async () => {
    const { status, body } = await getAsWritten('/health/live', { Expect: 'nonsense' });
    expect([status, body]).toEqual([200, expect.objectContaining({ data: { status: 'ok' } })]);
  });

  it('ends the path at a fragment, which no client should send', async () => {
    const { body } = await getAsWritten('/api/products#x');
    expect([body.instance, body.errors[0].field]).toEqual(['/api/products', 'x']);
  });

  it.each(['http://elsewhere', 'HTTPS://user@elsewhere:8080', 'ftp://elsewhere'])(
    'keeps the server that the path names out of the answer: %s',
    async (server) => {
      expect((await getAsWritten(`${server}/api/nowhere?x=1`)).body).toMatchObject({
        status: 404,
        instance: '/api/nowhere',
      });
      expect(JSON.stringify((await getAsWritten(server)).body)).not.toContain('elsewhere');
    },
  );

  const unmatched = { method: 'GET', route: 'unmatched' };
  it.each([
    ['a path that cannot be decoded', '/api/products/%zz', 'request', { ...unmatched, code: 'validation_failed' }],
    [
      'a parameter that is too long',
      `/api/products/${'x'.repeat(300)}`,
      'request',
      { ...unmatched, code: 'not_found' },
    ],
    [
      'a head that is too large',
      `/api/products?q=${'x'.repeat(20_000)}`,
      'unreadable request',
      { code: 'payload_too_large' },
    ],
  ])('leaves a line in the log even when no route sees it: %s', async (_, path, message, line) => {
    const info = jest.spyOn(log, 'info');
    const { body, status } = await getAsWritten(path);
    const lines = info.mock.calls.filter(([fields]) => (fields as object as Line).request_id === body.request_id);
    info.mockRestore();
    expect(lines).toEqual([[expect.objectContaining({ status, ...line }), message]]);
    expect(body.code).toBe(line.code);
  });

  it.each(['/api/%zz', `/api/products/${'x'.repeat(300)}`])(
    'is answered with the headers of every other answer where the router refuses it: %s',
    async (path) => {
      const id = randomUUID();
      const { body, headers } = await getAsWritten(path, { 'X-Request-Id': id });
      expect(headers).toMatchObject({ 'x-request-id': id, 'x-content-type-options': 'nosniff' });
      expect([body.request_id, body.instance]).toEqual([id, path]);
    },
  );
});

describe('A request that can be read in two ways', () => {
  async function send(...headers: string[]): Promise<RawAnswer[]> {
    const head = ['POST /api/auth/login HTTP/1.1', 'Content-Length: 2', 'Connection: close', ...headers];
    return answersIn(await exchangeRaw(test.url, `${head.join('\r\n')}\r\n\r\n{}`));
  }

  it.each([
    ['host', ['Host: x', 'host: y', 'Content-Type: application/json']],
    [
      'authorization',
      ['Host: x', 'Authorization: Bearer a', 'Authorization: Bearer b', 'Content-Type: application/json'],
    ],
    ['content-type', ['Host: x', 'Content-Type: application/json', 'Content-Type: text/plain']],
  ])('is refused when it has two of %s', async (name, headers) => {
    const [{ status, body }] = (await send(...headers)) as [RawAnswer];
    expect([status, JSON.parse(body)]).toEqual([
      400,
      expect.objectContaining({
        code: 'validation_failed',
        errors: [{ field: name, message: `the header ${name} must be given once` }],
      }),
    ]);
  });

  it.each(['gzip, chunked', 'identity, chunked'])('is refused when its body was sent as %s', async (coding) => {
    const head = `POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: ${coding}`;
    const received = await exchangeRaw(test.url, `${head}\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n`);
    const [{ status, body }] = answersIn(received) as [RawAnswer];
    expect([status, JSON.parse(body)]).toEqual([
      415,
      expect.objectContaining({ detail: expect.stringContaining(`transfer-encoding ${coding.split(',')[0]}`) }),
    ]);
  });

  it('is refused when it has two keys', async () => {
    const headers = ['Host: x', 'Content-Type: application/json', 'Idempotency-Key: a', 'Idempotency-Key: a'];
    const [{ status, body }] = (await send(...headers)) as [RawAnswer];
    expect([status, JSON.parse(body).code]).toEqual([400, 'invalid_idempotency_key']);
  });
});

describe('A body', () => {
  it.each([
    ['content-encoding gzip', { 'Content-Encoding': 'gzip' }],
    ['content-encoding br', { 'Content-Encoding': 'identity, br' }],
    ['charset of the body must be UTF-8, not iso-8859-1', { 'Content-Type': 'application/json; charset=iso-8859-1' }],
    ['not "utf-16"', { 'Content-Type': 'Application/JSON;Charset="utf-16"' }],
    ['not us-ascii', { 'Content-Type': 'application/json; charset=utf-8; charset=us-ascii' }],
  ])('is sent as it is, in UTF-8; otherwise the answer says what is not understood: %s', async (what, headers) => {
    const reply = await test.admin.post('/api/products', '{}', { ...JSON_TYPE, ...headers });
    expect([reply.status, reply.body]).toEqual([
      415,
      expect.objectContaining({ code: 'unsupported_media_type', detail: expect.stringContaining(what) }),
    ]);
  });

  it.each([
    'application/json; charset=UTF-8',
    'application/json;charset="utf-8"',
    'application/json; charset=utf8; v=1',
  ])('may say that it is in UTF-8, as it is: %s', async (type) => {
    const headers = { 'Content-Type': type, 'Content-Encoding': 'identity' };
    expect(fieldsOf(await test.admin.post('/api/products', '{}', headers))).toContain('sku');
  });
});
