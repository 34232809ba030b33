import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { until } from '../../src/platform/database/deadline';
import { TransactionRunner } from '../../src/platform/database/transaction-runner';
import type { Tx } from '../../src/platform/database/tx';
import { DatabaseUnavailable } from '../../src/platform/errors/domain-errors';
import type { Reply } from '../support/api';
import { sendAsWritten } from '../support/as-written';
import { anOrder, aProduct, aReservation, dataOf } from '../support/factories';
import { storm, whileLocked } from '../support/race';
import { startTestApp, type TestApp, unique } from '../support/test-app';

const JSON_TYPE = { 'Content-Type': 'application/json' };
const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(() => test.close());

/** Everything that the service answers to these bytes, until it hangs up. */
async function sendBytes(bytes: string): Promise<{ head: string; body: Record<string, unknown> }> {
  const { hostname, port } = new URL(test.url);
  const socket = connect(Number(port), hostname);
  socket.write(bytes);
  const [head, body] = (await text(socket)).split('\r\n\r\n');
  return { head: head!, body: JSON.parse(body!) as Record<string, unknown> };
}

describe('A connection on which the database does not answer', () => {
  const sessionOf = async (tx: Tx): Promise<number> => ((await tx.queryRunner!.connect()) as Session).processID;
  interface Session {
    processID: number;
  }

  it('is given up at the deadline of the request, and is not given to anybody else', async () => {
    const transactions = test.app.get(TransactionRunner);
    let silent: number | undefined;
    const attempt = until(performance.now() + 100, () =>
      transactions.run(async ({ tx }) => {
        silent = await sessionOf(tx);
        await tx.query('SELECT pg_sleep(5)');
      }),
    );
    await expect(attempt).rejects.toBeInstanceOf(DatabaseUnavailable);
    const next = await storm(20, () => transactions.run(({ tx }) => sessionOf(tx)));
    expect(next).not.toContain(silent);
  });

  it('is none that a request waits for again whose time is over', async () => {
    const transactions = test.app.get(TransactionRunner);
    let attempts = 0;
    const attempt = until(performance.now() + 50, () =>
      transactions.read(async (manager) => {
        attempts += 1;
        await manager.query('SELECT pg_sleep(5)').catch(() => undefined);
        return transactions.read(async () => (attempts += 1));
      }),
    );
    await expect(attempt).rejects.toBeInstanceOf(DatabaseUnavailable);
    expect(attempts).toBe(1);
  });
});

describe('A body', () => {
  it('may have 96 KiB and not one byte more', async () => {
    const bodyOf = (bytes: number): string => JSON.stringify({ x: 'x'.repeat(bytes - 8) });
    expect((await test.admin.post('/api/products', bodyOf(96 * 1024), JSON_TYPE)).body.code).toBe('validation_failed');
    expect((await test.admin.post('/api/products', bodyOf(96 * 1024 + 1), JSON_TYPE)).body.code).toBe(
      'payload_too_large',
    );
  });

  /** Each unit of UTF-16 takes six bytes. */
  const escaped = (text: string): string =>
    `"${text.replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;

  it('has room for the longest product, however it is escaped', async () => {
    // Three units of UTF-16 each, and counted as one character.
    const longest = (length: number): string => escaped('\u{1f170}\ufe0f'.repeat(length));
    const texts = `"sku": ${longest(64)}, "name": ${longest(200)}, "description": ${longest(5000)}`;
    const others = { price: '999999999999.99', currency: 'EUR', low_stock_threshold: 1e9, initial_stock: 1e9 };
    const product = `{${texts}, ${JSON.stringify(others).slice(1)}`;
    const reply = await test.admin.post('/api/products', product, JSON_TYPE);
    expect([reply.status, [...dataOf(reply).description].length]).toEqual([201, 10_000]);
  });

  it('has room for a hundred lines, however they are escaped', async () => {
    const { id } = await aProduct(test, { initial_stock: 0 });
    const { id: warehouse } = dataOf(await test.admin.get('/api/warehouses'))[0];
    const line = `{${escaped('product_id')}:${escaped(id)},${escaped('quantity')}:1000000,${escaped('warehouse_id')}:${escaped(warehouse)}}`;
    const body = `{${escaped('items')}:[${Array<string>(100).fill(line).join(',')}],${escaped('ttl_seconds')}:600}`;
    expect((await test.admin.post('/api/reservations', body, JSON_TYPE)).body.code).toBe('insufficient_stock');
  });

  const many = { field: 'body', message: 'body must not have more than 1000 values' };
  const deep = { field: 'body', message: 'body must not be nested more than 10 levels deep' };
  it.each([
    ['40 000 elements in a list', `{"items":[${'0,'.repeat(39_999)}0]}`, many],
    ['a hundred lists of a hundred elements', `{"items":[${`[${'0,'.repeat(99)}0],`.repeat(100)}0]}`, many],
    ['9 000 fields', `{${Array.from({ length: 9000 }, (_, index) => `"${index.toString(36)}":0`).join()}}`, many],
    ['one field 7 000 times', `{${'"quantity":1,'.repeat(6999)}"quantity":1}`, many],
    ['lists without end', `{"items":${'['.repeat(45_000)}${']'.repeat(45_000)}}`, deep],
    ['objects without end', `{"items":${'{"items":'.repeat(9000)}1${'}'.repeat(9000)}}`, deep],
    ['lists without end in an unknown field', `{"x":${'['.repeat(45_000)}${']'.repeat(45_000)}}`, deep],
  ])('with %s is refused before it is read', async (_, text, error) => {
    const { status, body } = await test.admin.post('/api/reservations', text, JSON_TYPE);
    expect([status, body.code, body.errors]).toEqual([400, 'validation_failed', [error]]);
  });

  async function expectFewErrors(path: string): Promise<void> {
    const fields = Object.fromEntries(Array.from({ length: 900 }, (_, index) => [`unknown_${index}`, index]));
    const { status, body }: Reply = await test.admin.post(path, fields);
    expect([status, body.code]).toEqual([400, 'validation_failed']);
    expect(body.errors.length).toBeGreaterThan(0);
    expect(body.errors.length).toBeLessThanOrEqual(200);
  }

  it('with hundreds of unknown fields is told of no more than 200', async () => {
    await expectFewErrors('/api/products');
  });

  it('with hundreds of fields where none is taken is told of no more than 200', async () => {
    const { id } = await aReservation(test.admin, (await aProduct(test)).id);
    await expectFewErrors(`/api/reservations/${id}/cancel`);
  });
});

describe('A request', () => {
  it('has to arrive whole in a limited time, head and body, and its answer has to be read', () => {
    const { requestTimeout, headersTimeout, timeout } = test.app.getHttpServer();
    expect([requestTimeout, timeout]).toEqual([15_000, 30_000]);
    // Node takes the longer of the two for the body.
    expect(headersTimeout).toBeLessThanOrEqual(requestTimeout);
  });

  it.each([
    ['PROPFIND', '/api/orders', 'GET, HEAD, POST'],
    ['PURGE', '/api/orders', 'GET, HEAD, POST'],
    ['PROPFIND', `/api/orders/${randomUUID()}`, 'GET, HEAD'],
    ['PURGE', '/health/live', 'GET, HEAD'],
  ])('with the method %s on %s is told which there are', async (method, path, allow) => {
    const reply = await sendAsWritten(test.url, { method, path });
    expect([reply.status, reply.headers.allow, reply.headers['content-type']]).toEqual([405, allow, PROBLEM_TYPE]);
    expect(reply.body).toMatchObject({ status: 405, code: 'method_not_allowed', instance: path });
  });

  it.each(['/docs/%2e%2e/%2e%2e/package.json', '/docs/../../package.json', '/docs/..%2f..%2fpackage.json'])(
    'does not get out of the documentation: %s',
    async (path) => {
      const reply = await sendAsWritten(test.url, { path });
      expect([reply.status, reply.headers['content-type']]).toEqual([404, PROBLEM_TYPE]);
      expect(reply.body).toMatchObject({ status: 404, code: 'not_found' });
    },
  );

  it('without Host is answered like any other', async () => {
    const id = randomUUID();
    const { head, body } = await sendBytes(
      `GET /api/nowhere HTTP/1.1\r\nX-Request-Id: ${id}\r\nConnection: close\r\n\r\n`,
    );
    expect(head).toMatch(/^HTTP\/1\.1 404 /);
    expect(head.toLowerCase()).toContain(`content-type: ${PROBLEM_TYPE}`);
    expect(body).toMatchObject({ status: 404, code: 'not_found', request_id: id });
  });

  it('whose head has 40 KB is too large', async () => {
    const { head, body } = await sendBytes(
      `GET /api/products HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(40 * 1024)}\r\n\r\n`,
    );
    expect(head).toMatch(/^HTTP\/1\.1 413 /);
    expect(head).toContain(`Content-Type: ${PROBLEM_TYPE}`);
    expect(body).toMatchObject({ status: 413, code: 'payload_too_large', request_id: expect.any(String) });
    expect(head).toContain(`X-Request-Id: ${String(body['request_id'])}`);
  });
});

describe('An answer', () => {
  it('that holds a token is kept by no cache', async () => {
    const credentials = { email: `${unique('ada')}@example.com`, password: 'correct horse battery' };
    dataOf(await test.anonymous.post('/api/auth/register', credentials));
    const reply = await test.anonymous.post('/api/auth/login', credentials);
    expect([reply.status, reply.headers['cache-control']]).toEqual([200, 'no-store']);
  });

  it('that is given again has the ETag of the first', async () => {
    const product = { sku: unique('SKU'), name: 'Blue mug', price: '19.90' };
    const key = { 'Idempotency-Key': randomUUID() };
    const first = await test.admin.post('/api/products', product, key);
    dataOf(await test.admin.patch(`/api/products/${first.body.data.id}`, { name: 'Red mug' }));
    const again = await test.admin.post('/api/products', product, key);
    expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, 'true']);
    expect([first.headers['etag'], again.headers['etag']]).toEqual(['"1"', '"1"']);
  });
});

describe('A cursor', () => {
  const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

  it('is refused whichever of its characters is another', async () => {
    const user = test.aUser();
    const { id } = await aProduct(test);
    await anOrder(user, id);
    await anOrder(user, id);
    const cursor: string = (await user.get('/api/orders?limit=1')).body.page.next_cursor;
    expect((await user.get(`/api/orders?limit=1&cursor=${cursor}`)).status).toBe(200);
    for (let at = 0; at < cursor.length; at += 1) {
      // The neighbour differs in the lowest bit: of the last character, that may be one that decoding throws away.
      const neighbour = ALPHABET[ALPHABET.indexOf(cursor[at]!) ^ 1]!;
      const changed = cursor.slice(0, at) + neighbour + cursor.slice(at + 1);
      const { status, body } = await user.get(`/api/orders?limit=1&cursor=${changed}`);
      expect([at, status, body.code]).toEqual([at, 400, 'invalid_cursor']);
    }
  });
});

describe('Readiness', () => {
  it('is not lost while every connection of the pool is in use', async () => {
    const small = await startTestApp({ DATABASE_POOL_SIZE: '2' }, test.database);
    try {
      const { id } = await aProduct(test);
      const waiting = async (): Promise<number> => {
        const [row] = await test.database.query<{ count: number }>(
          `SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        return row!.count;
      };
      const lock = {
        sql: 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE',
        values: [id],
        waiters: 2,
        meanwhile: async () => {
          expect((await small.anonymous.get('/health/ready')).status).toBe(200);
          // Still: it did not wait for one of them to be free.
          expect(await waiting()).toBe(2);
        },
      };
      const replies = await whileLocked(test.database, lock, () =>
        storm(2, () => small.admin.post(`/api/products/${id}/stock-adjustments`, { delta: 1, reason: 'delivery' })),
      );
      expect(replies.map(({ status }) => status)).not.toContain(503);
    } finally {
      await small.close();
    }
  });
});
