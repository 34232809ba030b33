import { METHODS } from 'node:http';
import { Client } from 'pg';
import { exchangeRaw } from '../fuzz/raw-http';
import type { Reply } from '../support/api';
import { sendAsWritten } from '../support/as-written';
import { createDatabase, databaseUrl } from '../support/database';
import { aProduct, aReservation, dataOf } from '../support/factories';
import { storm, tally } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

describe('Health and metrics', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterAll(() => test.close());

  async function metric(name: string): Promise<number> {
    const { text } = await test.anonymous.get('/metrics');
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
    return Number(line?.split(' ').at(-1) ?? 0);
  }

  it('says that the process runs and can serve', async () => {
    for (const path of ['/health/live', '/health/ready']) {
      const { status, body, headers } = await test.anonymous.get(path);
      expect([status, body]).toEqual([200, { request_id: headers['x-request-id'], data: { status: 'ok' } }]);
    }
  });

  it('shows metrics as Prometheus text, which every line of it is', async () => {
    const { status, text, headers } = await test.anonymous.get('/metrics');
    expect([status, headers['content-type']]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
    const strange = text.split('\n').filter((line) => !/^(|# (HELP|TYPE) \w+ .+|\w+(\{.+\})? [-+\w.]+)$/.test(line));
    expect(strange).toEqual([]);
    expect(text).toContain('process_resident_memory_bytes');
    expect(text).toMatch(/^holdfast_database_pool_connections\{state="total"\} \d+$/m);
  });

  it('counts requests by method, route, status and code, not by path', async () => {
    const counted = (labels: string): Promise<number> =>
      metric(`holdfast_http_request_duration_seconds_count{${labels}}`);
    const product = await aProduct(test);
    const ask: [string, () => Promise<unknown>][] = [
      [
        'method="GET",route="/api/products/:id",status="200",code=""',
        () => test.anonymous.get(`/api/products/${product.id}`),
      ],
      ['method="GET",route="unmatched",status="404",code="not_found"', () => test.anonymous.get('/not/a/path')],
      ['method="GET",route="unmatched",status="400",code="validation_failed"', () => test.anonymous.get('/api/%zz')],
      [
        'method="POST",route="/api/orders",status="401",code="unauthenticated"',
        () => test.anonymous.post('/api/orders', {}),
      ],
      [
        'method="POST",route="/api/orders",status="404",code="not_found"',
        () => test.admin.post('/api/orders', { reservation_id: product.id }),
      ],
      [
        'method="other",route="/api/orders",status="405",code="method_not_allowed"',
        () => test.admin.send('delete', '/api/orders'),
      ],
      [
        'method="other",route="unmatched",status="400",code="malformed_json"',
        () => exchangeRaw(test.url, 'no HTTP\r\n\r\n'),
      ],
    ];
    for (const [labels, once] of ask) {
      const before = await counted(labels);
      await once();
      await once();
      expect([labels, await counted(labels)]).toEqual([labels, before + 2]);
    }
    expect((await test.anonymous.get('/metrics')).text).not.toContain(product.id);
  });

  it('does not grow with what is tried: one set of labels for the methods that a path does not know', async () => {
    const series = async (): Promise<string[]> =>
      (await test.anonymous.get('/metrics')).text.match(/^holdfast_http_request_duration_seconds_count.*(?= )/gm)!;
    const { paths } = (await test.anonymous.get('/openapi.json')).body as { paths: Record<string, object> };
    const known = Object.keys(paths).map((path) => path.replaceAll(/\{\w+\}/g, 'x'));
    const methods = METHODS.filter((method) => method !== 'CONNECT');
    const before = await series();
    for (const path of ['/', '/nowhere', '/api/%zz', ...known]) {
      await storm(methods.length, (index) => sendAsWritten(test.url, { method: methods[index]!, path }));
    }
    const added = (await series()).filter((one) => !before.includes(one));
    const others = added.filter((one) => one.includes('method="other"'));
    // One more for paths that are unknown, and one for those that are malformed.
    expect(others.length).toBeLessThanOrEqual(known.length + 2);
    const matched = added.filter((one) => !one.includes('"unmatched"') && !others.includes(one));
    expect(matched.filter((one) => /method="(?!GET|HEAD|POST|PATCH|DELETE)/.test(one))).toEqual([]);
    const unmatched = added.filter((one) => one.includes('"unmatched"'));
    expect(unmatched.length).toBeLessThanOrEqual(2 * 8);
  });

  it('counts reservations by what became of them', async () => {
    const product = await aProduct(test, { initial_stock: 1 });
    const user = test.aUser();
    const counted = (outcome: string): Promise<number> => metric(`holdfast_reservations_total{outcome="${outcome}"}`);
    const before = {
      created: await counted('created'),
      short: await counted('short'),
      cancelled: await counted('cancelled'),
    };
    const { id } = await aReservation(user, product.id);
    await user.post('/api/reservations', { product_id: product.id, quantity: 1 });
    expect([await counted('created'), await counted('short')]).toEqual([before.created + 1, before.short + 1]);
    await user.post(`/api/reservations/${id}/cancel`);
    expect(await counted('cancelled')).toBe(before.cancelled + 1);
  });
});

describe('With METRICS_TOKEN set', () => {
  let guarded: TestApp;
  beforeAll(async () => {
    guarded = await startTestApp({ METRICS_TOKEN: 'scrape-me' });
  });
  afterAll(() => guarded.close());

  it('shows the metrics for that token alone', async () => {
    const ask = (authorization?: string): Promise<Reply> =>
      guarded.anonymous.get('/metrics', authorization === undefined ? {} : { Authorization: authorization });
    for (const wrong of [
      undefined,
      'scrape-me',
      'Bearer scrape',
      'Bearer scrape-me2',
      'Basic scrape-me',
      `Bearer ${guarded.admin.token}`,
    ]) {
      const { status, body, headers } = await ask(wrong);
      expect([status, body.code, headers['www-authenticate']]).toEqual([401, 'unauthenticated', 'Bearer']);
    }
    expect((await ask('Bearer scrape-me')).text).toContain('holdfast_http_request_duration_seconds');
    expect((await guarded.anonymous.get('/health/ready')).status).toBe(200);
  });
});

describe('Without its database', () => {
  let test: TestApp;
  let server: Client;
  const name = (): string => new URL(test.database.url).pathname.slice(1);

  beforeAll(async () => {
    const database = await createDatabase();
    database.pool.on('error', () => undefined);
    test = await startTestApp({ LOG_LEVEL: 'silent' }, database);
    server = new Client(databaseUrl('postgres'));
    await server.connect();
  });
  afterAll(async () => {
    await server.end();
    await test.close();
    await test.database.drop();
  });

  async function takeAway(): Promise<void> {
    await server.query(`ALTER DATABASE ${name()} ALLOW_CONNECTIONS false`);
    await server.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name()]);
  }

  async function giveBack(): Promise<void> {
    await server.query(`ALTER DATABASE ${name()} ALLOW_CONNECTIONS true`);
  }

  it('says so with 503 on every route that needs it, stays alive, and recovers by itself', async () => {
    const product = await aProduct(test);
    const user = test.aUser();
    await Promise.all(Array.from({ length: 20 }, () => user.get('/api/orders')));
    await takeAway();

    const line = { product_id: product.id, quantity: 1 };
    const asked = [
      () => test.anonymous.get('/api/products'),
      () => test.anonymous.get(`/api/products/${product.id}`),
      () => user.get('/api/orders'),
      () => user.post('/api/reservations', line),
      () => user.post('/api/reservations', line, { 'Idempotency-Key': 'k' }),
      () => user.post('/api/orders', { items: [line] }),
      () => test.anonymous.post('/api/auth/login', { email: 'a@example.com', password: 'x' }),
      () => test.anonymous.post('/api/auth/register', { email: 'a@example.com', password: 'correct horse battery' }),
      () => test.admin.get('/api/audit-logs'),
      () => test.admin.get('/api/admin/metrics'),
      () => test.admin.get('/api/admin/reconciliation'),
      () => test.anonymous.get('/health/ready'),
    ];
    for (const ask of asked) {
      const { body, headers } = await ask();
      expect([body.instance, body.status, body.code]).toEqual([body.instance, 503, 'database_unavailable']);
      expect(headers['retry-after']).toMatch(/^[1-9]\d*$/);
      expect(JSON.stringify(body)).not.toContain(name());
    }
    expect((await test.anonymous.get('/health/live')).status).toBe(200);
    expect((await test.anonymous.get('/metrics')).status).toBe(200);
    expect((await user.get('/nothing')).status).toBe(404);

    await giveBack();
    expect((await test.anonymous.get('/health/ready')).status).toBe(200);
    expect(dataOf(await user.post('/api/reservations', line, { 'Idempotency-Key': 'k' }))).toMatchObject({
      status: 'active',
    });
    const [{ rows }] = (await test.database.query<{ rows: number }>(
      'SELECT count(*)::int AS rows FROM reservations',
    )) as [{ rows: number }];
    expect(rows).toBe(1);
  });

  it('is not ready while its tables cannot be read, which may lie elsewhere', async () => {
    await test.database.query('ALTER TABLE warehouses RENAME TO elsewhere');
    const { body } = await test.anonymous.get('/health/ready');
    await test.database.query('ALTER TABLE elsewhere RENAME TO warehouses');
    expect([body.status, body.code]).toEqual([503, 'database_unavailable']);
    expect((await test.anonymous.get('/health/ready')).status).toBe(200);
  });

  it('answers all of many that come while connections break, and a 201 always holds', async () => {
    const product = await aProduct(test, { initial_stock: 50 });
    const users = Array.from({ length: 50 }, () => test.aUser());
    const replies = Promise.all(
      users.map((user) => user.post('/api/reservations', { product_id: product.id, quantity: 1 })),
    );
    await takeAway();
    await giveBack();
    const {
      '201': made = 0,
      '503 database_unavailable': _,
      '500 outcome_unknown': unknown = 0,
      ...others
    } = tally(await replies);
    expect(others).toEqual({});
    const [row] = await test.database.query<{ reserved: number }>(
      'SELECT reserved FROM stock_levels WHERE product_id = $1',
      [product.id],
    );
    expect(row!.reserved).toBeGreaterThanOrEqual(made);
    expect(row!.reserved).toBeLessThanOrEqual(made + unknown);
    expect(dataOf(await test.admin.get('/api/admin/reconciliation'))).toMatchObject({ ok: true });
  });
});
