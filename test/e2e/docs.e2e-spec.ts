import Ajv2020 from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import { type AuditAction, objectTypeOf } from '../../src/audit/audit-action';
import { PUBLISHED_TYPES } from '../../src/events/feed/event-types';
import { PROBLEMS } from '../../src/platform/errors/problem-catalogue';
import { startTestApp, type TestApp } from '../support/test-app';

interface Operation {
  summary?: string;
  operationId?: string;
  parameters?: { name: string; in: string }[];
  security?: object[];
  responses: Record<string, { description?: string; content?: Record<string, { schema?: object }> }>;
}

interface Document {
  openapi: string;
  info: { title: string };
  paths: Record<string, Record<string, Operation>>;
  components: object;
  webhooks: Record<string, { post: { requestBody: { content: { 'application/json': Example } } } }>;
}

interface Example {
  schema: { $ref: string };
  example: { type: string; object: { type: string } };
}

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(() => test.close());

describe('The pages of documentation', () => {
  it.each(['/docs', '/redoc'])('answer at %s, and take everything from here', async (path) => {
    const page = await test.anonymous.get(path);
    expect([page.status, page.headers['content-type']]).toEqual([200, expect.stringMatching(/^text\/html/)]);
    expect(page.text).not.toMatch(/(src|href|url)\s*=\s*["']?(https?:)?\/\//i);

    const loaded = [...page.text.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, address]) => address!);
    expect(loaded.filter((address) => address.endsWith('.js')).length).toBeGreaterThan(0);
    for (const address of loaded) {
      const { pathname } = new URL(address, `${test.url}${path}`);
      const { status, headers } = await test.anonymous.get(pathname);
      expect([pathname, status]).toEqual([pathname, 200]);
      expect(headers['content-type']).toMatch(pathname.endsWith('.js') ? /javascript/ : /css|image/);
    }
  });

  it.each(['/docs', '/redoc'])('may load nothing from elsewhere: %s', async (path) => {
    const policy = (await test.anonymous.get(path)).headers['content-security-policy']!;
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).not.toMatch(/(default|script|style|img|connect|worker)-src[^;]*(https?:|\*|unsafe-eval)/);
    // A page whose script stands in the page itself would be blank under this policy.
    const { text } = await test.anonymous.get(path);
    expect(text).not.toMatch(/<script(?![^>]*\bsrc=)[^>]*>\s*\S/);
  });

  it('show the document that is served', async () => {
    expect((await test.anonymous.get('/redoc')).text).toContain('spec-url="/openapi.json"');
    const initializer = await test.anonymous.get('/docs/swagger-ui-init.js');
    expect([initializer.status, initializer.text.includes('/api/reservations/{id}/commit')]).toEqual([200, true]);
  });
});

describe('The address alone', () => {
  it.each(['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'text/html'])(
    'sends a browser, which accepts %s, to the documentation',
    async (accept) => {
      const { status, headers } = await test.anonymous.get('/', { Accept: accept });
      expect([status, headers['location'], headers['vary']]).toEqual([303, '/docs', 'Accept']);
    },
  );

  it.each(['*/*', 'application/json', ''])(
    'answers who accepts "%s" with links, each of which leads somewhere',
    async (accept) => {
      const reply = await test.anonymous.get('/', { Accept: accept });
      expect([reply.status, reply.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
      expect(reply.body).toEqual({ request_id: reply.headers['x-request-id'], data: expect.any(Object) });
      const links = Object.values<string>(reply.body.data);
      expect(links).toEqual(expect.arrayContaining(['/docs', '/openapi.json', '/health/ready']));
      for (const link of links) {
        expect([link, (await test.anonymous.get(link)).status]).toEqual([link, 200]);
      }
    },
  );
});

describe('The OpenAPI document', () => {
  let document: Document;
  let operations: [string, Operation][];
  beforeAll(async () => {
    const reply = await test.anonymous.get('/openapi.json');
    expect(reply.headers['content-type']).toBe('application/json; charset=utf-8');
    document = reply.body;
    operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]): [string, Operation] => [
        `${method.toUpperCase()} ${path}`,
        operation,
      ]),
    );
  });

  it('describes every event that is sent, with an example that has the shape of an event', () => {
    const { webhooks, components } = document;
    expect(Object.keys(webhooks).sort()).toEqual([...PUBLISHED_TYPES, 'webhook.test'].sort());
    const ajv = addFormats(new Ajv2020({ strict: false }));
    ajv.addSchema({ components }, 'document');
    for (const [type, { post }] of Object.entries(webhooks)) {
      const { example, schema } = post.requestBody.content['application/json'];
      expect([type, example.type, example.object.type]).toEqual([type, type, objectTypeOf(type as AuditAction)]);
      expect(ajv.validate({ $ref: `document${schema.$ref}` }, example) ? [] : ajv.errors).toEqual([]);
    }
  });

  it('is OpenAPI 3.1 and knows every route of the contract', () => {
    expect(document).toMatchObject({ openapi: expect.stringMatching(/^3\.1\.\d$/), info: { title: 'Holdfast' } });
    expect(operations.map(([name]) => name).sort()).toEqual([
      'DELETE /api/webhook-endpoints/{id}',
      'GET /',
      'GET /api/admin/metrics',
      'GET /api/admin/reconciliation',
      'GET /api/audit-logs',
      'GET /api/auth/me',
      'GET /api/events',
      'GET /api/events/stream',
      'GET /api/events/{id}',
      'GET /api/orders',
      'GET /api/orders/{id}',
      'GET /api/orders/{id}/history',
      'GET /api/products',
      'GET /api/products/{id}',
      'GET /api/products/{id}/stock-movements',
      'GET /api/reservations',
      'GET /api/reservations/{id}',
      'GET /api/warehouses',
      'GET /api/webhook-deliveries',
      'GET /api/webhook-deliveries/{id}',
      'GET /api/webhook-endpoints',
      'GET /api/webhook-endpoints/{id}',
      'GET /health/live',
      'GET /health/ready',
      'GET /metrics',
      'GET /problems/{code}',
      'PATCH /api/orders/{id}/status',
      'PATCH /api/products/{id}',
      'PATCH /api/warehouses/{id}',
      'PATCH /api/webhook-endpoints/{id}',
      'POST /api/auth/login',
      'POST /api/auth/register',
      'POST /api/orders',
      'POST /api/products',
      'POST /api/products/{id}/stock-adjustments',
      'POST /api/reservations',
      'POST /api/reservations/{id}/cancel',
      'POST /api/reservations/{id}/commit',
      'POST /api/reservations/{id}/extend',
      'POST /api/stock-transfers',
      'POST /api/warehouses',
      'POST /api/webhook-deliveries/{id}/retry',
      'POST /api/webhook-endpoints',
      'POST /api/webhook-endpoints/{id}/recover',
      'POST /api/webhook-endpoints/{id}/rotate-secret',
      'POST /api/webhook-endpoints/{id}/test',
    ]);
  });

  it('gives every operation a summary, a name of its own, the schema of its success and its problems', () => {
    expect(new Set(operations.map(([, { operationId }]) => operationId)).size).toBe(operations.length);
    for (const [name, { summary, responses }] of operations) {
      expect([name, summary]).toEqual([name, expect.stringMatching(/\w{2,}/)]);
      const success = Object.entries(responses).filter(([status]) => status.startsWith('2'));
      expect([name, success.length]).toEqual([name, 1]);
      const [media] = Object.values(success[0]![1].content ?? {});
      expect([name, Object.keys(media?.schema ?? {}).length > 0]).toEqual([name, true]);
      for (const [status, { description, content }] of Object.entries(responses).filter(
        ([status]) => status >= '400',
      )) {
        expect([name, status, Object.keys(content ?? {})]).toEqual([name, status, ['application/problem+json']]);
        expect(description).toMatch(/\w/);
      }
    }
  });

  it('tells the failures that an operation of its kind can have', () => {
    for (const [name, { responses, security, parameters = [] }] of operations) {
      const expected = [
        ...['400', '413', '429', '500', '503'],
        ...(security ? ['401'] : []),
        ...(name.startsWith('GET') ? [] : ['415']),
        ...(name.startsWith('POST') ? ['422'] : []),
      ];
      expect([name, Object.keys(responses)]).toEqual([name, expect.arrayContaining(expected)]);
      expect([name, parameters.some((parameter) => parameter.name === 'Idempotency-Key')]).toEqual([
        name,
        name.startsWith('POST'),
      ]);
      const named = [...name.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      expect(parameters.filter((parameter) => parameter.in === 'path').map((parameter) => parameter.name)).toEqual(
        named,
      );
    }
  });

  it('refers to nothing that is not in it', () => {
    const text = JSON.stringify(document);
    const references = new Set([...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path!));
    expect(references.size).toBeGreaterThan(10);
    for (const path of references) {
      const found = path
        .split('/')
        .reduce<unknown>((node, key) => (node as Record<string, unknown> | undefined)?.[key], document);
      expect([path, typeof found]).toEqual([path, 'object']);
    }
  });

  it('names every problem that there is', () => {
    const { components } = document as unknown as {
      components: { schemas: { Problem: { properties: { code: { enum: string[] } } } } };
    };
    expect(components.schemas.Problem.properties.code.enum.sort()).toEqual(Object.keys(PROBLEMS).sort());
  });

  it('tells the true status of a success', async () => {
    const { paths } = document;
    expect(Object.keys(paths['/api/auth/login']!['post']!.responses)).toContain('200');
    expect(Object.keys(paths['/api/reservations/{id}/cancel']!['post']!.responses)).toContain('200');
    expect(Object.keys(paths['/api/reservations/{id}/commit']!['post']!.responses)).toContain('201');
  });
});
