import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { startTestApp, type TestApp } from '../support/test-app';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(() => test.close());

describe('Every answer', () => {
  it.each<[string, number, string]>([
    ['a list', 200, '/api/products'],
    ['a page', 200, '/docs'],
    ['a script', 200, '/docs/swagger-ui-init.js'],
    ['a refusal', 401, '/api/orders'],
    ['nothing', 404, '/nowhere'],
    ['another method', 405, '/api/auth/login'],
  ])('tells browsers to be careful with it: %s', async (_, status, path) => {
    const reply = await test.anonymous.get(path, { Origin: 'https://elsewhere.example' });
    expect(reply.status).toBe(status);
    expect(reply.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
    });
    const policy = reply.headers['content-security-policy']!.split(';');
    expect(policy).toEqual(
      expect.arrayContaining(["default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"]),
    );
  });

  it('lets no page of another origin read it, sets no cookie, and does not say what it was made with', async () => {
    for (const method of ['get', 'options'] as const) {
      const headers = { Origin: 'https://elsewhere.example', 'Access-Control-Request-Method': 'GET' };
      const reply = await test.aUser().send(method, '/api/orders', undefined, headers);
      const names = Object.keys(reply.headers).filter((name) =>
        /^access-control|cookie|^server$|powered-by/.test(name),
      );
      expect(names).toEqual([]);
    }
  });

  it('to a caller who is signed in is kept by no cache; what is public may be', async () => {
    const [own, open] = [await test.aUser().get('/api/orders'), await test.anonymous.get('/api/products')];
    expect([own.headers['cache-control'], open.headers['cache-control']]).toEqual(['no-store', undefined]);
  });
});

describe('A request that two parsers could read in two ways', () => {
  const body = '0\r\n\r\nGET /api/orders HTTP/1.1\r\nHost: x\r\n\r\n';
  it.each([
    ['two lengths', `Content-Length: 5\r\nContent-Length: ${body.length}\r\n`],
    ['a length and chunks', `Content-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n`],
    ['chunks by another name', 'Transfer-Encoding: xchunked\r\n'],
  ])('is refused, and ends its connection: %s', async (_, lengths) => {
    const { hostname, port } = new URL(test.url);
    const socket = connect(Number(port), hostname);
    socket.write(`POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${lengths}\r\n${body}`);
    const answer = await text(socket);
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400']);
    expect(answer).toContain('Connection: close');
  });
});
