import { randomUUID } from 'node:crypto';
import { IdempotencyService } from '../../src/platform/idempotency/idempotency.service';
import type { Reply } from '../support/api';
import { sendAsWritten } from '../support/as-written';
import { anOrder, aProduct, aReservation, dataOf, letTimePass, stockOf } from '../support/factories';
import { startTestApp, type TestApp, unique } from '../support/test-app';

const PASSWORD = 'correct horse battery';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp({ TRUSTED_PROXIES: '1' });
});
afterAll(() => test.close());

const keyed = (key: string): { 'Idempotency-Key': string } => ({ 'Idempotency-Key': key });

async function letADayPass(key: string): Promise<void> {
  await test.database.query(
    `UPDATE idempotency_keys SET created_at = clock_timestamp() - interval '24 hours 1 second' WHERE key = $1`,
    [key],
  );
}

async function hasKey(key: string): Promise<boolean> {
  return (await test.database.query('SELECT 1 FROM idempotency_keys WHERE key = $1', [key])).length > 0;
}

describe('The scope of a key', () => {
  it('is its caller: another user may use the same', async () => {
    const { id } = await aProduct(test);
    const [key, body] = [randomUUID(), { product_id: id, quantity: 1 }];
    const [ada, bob] = [test.aUser(), test.aUser()];
    const [first, second] = [
      await ada.post('/api/reservations', body, keyed(key)),
      await bob.post('/api/reservations', body, keyed(key)),
    ];
    expect(dataOf(second)).toMatchObject({ user_id: bob.userId });
    expect(dataOf(second).id).not.toBe(dataOf(first).id);
    expect(second.headers).not.toHaveProperty('idempotent-replayed');
  });

  it('is its address where there is no caller: another one may use the same, and IPv6 has one for each /64', async () => {
    const key = randomUUID();
    const register = (address: string, email: string): Promise<Reply> =>
      test.anonymous.post(
        '/api/auth/register',
        { email, password: PASSWORD },
        { ...keyed(key), 'X-Forwarded-For': address },
      );
    const emails = ['ada', 'bob', 'eve'].map((name) => `${unique(name)}@example.com`);
    const [ada, bob, eve] = [
      await register('203.0.113.7', emails[0]!),
      await register('203.0.113.8', emails[1]!),
      await register('2001:db8:1:2::7', emails[2]!),
    ];
    expect([ada, bob, eve].map((reply) => dataOf(reply).email)).toEqual(emails);
    const again = [await register('::ffff:203.0.113.7', emails[0]!), await register('2001:db8:1:2::8', emails[2]!)];
    const another = await register('203.0.113.7', emails[1]!);
    expect(again.map((reply) => [dataOf(reply), reply.headers['idempotent-replayed']])).toEqual([
      [dataOf(ada), 'true'],
      [dataOf(eve), 'true'],
    ]);
    expect([another.status, another.body.code]).toEqual([422, 'idempotency_key_reused']);
  });

  it('is its path: another thing may be changed under the same', async () => {
    const user = test.aUser();
    const { id } = await aProduct(test);
    const key = randomUUID();
    for (const reservation of [await aReservation(user, id), await aReservation(user, id)]) {
      const reply = await user.post(`/api/reservations/${reservation.id}/cancel`, undefined, keyed(key));
      expect([dataOf(reply).id, reply.headers['idempotent-replayed']]).toEqual([reservation.id, undefined]);
    }
    expect(await stockOf(test, id)).toMatchObject({ reserved: 0 });
  });

  it('is its route, however the path to it is spelled', async () => {
    const user = test.aUser();
    const { id } = await aProduct(test);
    const headers = { ...keyed(randomUUID()), Authorization: `Bearer ${user.token}` };
    const body = { items: [{ product_id: id, quantity: 1 }] };
    const paths = ['/api/orders', '/api/%6frders', '/%61pi/orders/', 'http://x/api/orders', 'HTTPS://x/api/orders?'];
    const replies: Reply[] = [];
    for (const path of paths) {
      replies.push(await sendAsWritten(test.url, { method: 'POST', path, headers, body }));
    }
    expect(new Set(replies.map((reply) => dataOf(reply).id)).size).toBe(1);
    expect(replies.map((reply) => reply.headers['idempotent-replayed'])).toEqual([undefined, ...Array(4).fill('true')]);
    expect(await stockOf(test, id)).toMatchObject({ reserved: 1 });
  });

  it('is the thing that the path names, however its id is spelled', async () => {
    const user = test.aUser();
    const { id } = await aReservation(user, (await aProduct(test)).id);
    const key = randomUUID();
    const extend = async (spelled: string): Promise<Reply> =>
      user.post(`/api/reservations/${spelled}/extend`, { ttl_seconds: 900 }, keyed(key));
    const first = await extend(id.toUpperCase());
    for (const spelled of [id, `%${id.charCodeAt(0).toString(16)}${id.slice(1)}`]) {
      const { body, headers } = await extend(spelled);
      expect([body.data, headers['idempotent-replayed']]).toEqual([dataOf(first), 'true']);
    }
    const paths = await test.database.query('SELECT path FROM idempotency_keys WHERE key = $1', [key]);
    expect(paths).toEqual([{ path: `/api/reservations/${id}/extend` }]);
  });

  it('is its method: a GET or a PATCH takes no notice of it', async () => {
    const user = test.aUser();
    const order = await anOrder(user, (await aProduct(test)).id);
    const key = randomUUID();
    for (const status of ['confirmed', 'cancelled']) {
      const reply = await user.patch(`/api/orders/${order.id}/status`, { status }, keyed(key));
      expect(dataOf(reply).status).toBe(status);
    }
    expect((await user.get('/api/orders', keyed('not a valid key'))).status).toBe(200);
    expect(await hasKey(key)).toBe(false);
  });
});

describe('A key', () => {
  it.each(['k', '~'.repeat(255), '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}'])(
    'may be any visible ASCII up to 255 characters: %s',
    async (key) => {
      const body = { code: unique('WH'), name: 'Second' };
      const caller = test.aUser('admin');
      const [first, again] = [
        await caller.post('/api/warehouses', body, keyed(key)),
        await caller.post('/api/warehouses', body, keyed(key)),
      ];
      expect([first.status, again.headers['idempotent-replayed']]).toEqual([201, 'true']);
    },
  );

  it('is free again after a failure, whichever it was', async () => {
    const user = test.aUser();
    const product = await aProduct(test, { initial_stock: 1 });
    const [key, line] = [randomUUID(), { product_id: product.id, quantity: 2 }];
    const ask = (body: object): Promise<Reply> => user.post('/api/reservations', body, keyed(key));
    expect((await ask({ ...line, quantity: 0 })).body.code).toBe('validation_failed');
    expect((await ask({ ...line, product_id: randomUUID() })).body.code).toBe('not_found');
    expect((await ask(line)).body.code).toBe('insufficient_stock');
    expect(await hasKey(key)).toBe(false);

    await test.admin.post(`/api/products/${product.id}/stock-adjustments`, { delta: 1, reason: 'delivery' });
    const reply = await ask(line);
    expect([reply.status, reply.headers['idempotent-replayed']]).toEqual([201, undefined]);
  });

  it('of an overdue commit is not kept either', async () => {
    const user = test.aUser();
    const { id } = await aReservation(user, (await aProduct(test)).id);
    await letTimePass(test, id);
    const key = randomUUID();
    for (let attempt = 0; attempt < 2; attempt += 1) {
      expect((await user.post(`/api/reservations/${id}/commit`, undefined, keyed(key))).body.code).toBe(
        'reservation_not_active',
      );
    }
    expect(await hasKey(key)).toBe(false);
  });

  it('counts as new after 24 hours, even with another body', async () => {
    const user = test.aUser();
    const { id } = await aProduct(test);
    const key = randomUUID();
    const first = await user.post('/api/reservations', { product_id: id, quantity: 1 }, keyed(key));
    await letADayPass(key);
    const second = await user.post('/api/reservations', { product_id: id, quantity: 2 }, keyed(key));
    expect(dataOf(second).id).not.toBe(dataOf(first).id);
    expect(second.headers).not.toHaveProperty('idempotent-replayed');
    const third = await user.post('/api/reservations', { product_id: id, quantity: 2 }, keyed(key));
    expect([dataOf(third).id, third.headers['idempotent-replayed']]).toEqual([dataOf(second).id, 'true']);
    expect(await stockOf(test, id)).toMatchObject({ reserved: 3 });
  });

  it('is purged after 24 hours and not before, however many there are', async () => {
    const [old, young] = [randomUUID(), randomUUID()];
    for (const key of [old, young]) {
      dataOf(await test.admin.post('/api/warehouses', { code: unique('WH'), name: 'Second' }, keyed(key)));
    }
    await letADayPass(old);
    await test.database.query(
      `INSERT INTO idempotency_keys (caller, method, path, key, fingerprint, created_at)
       SELECT 'crowd', 'POST', '/', n::text, '', clock_timestamp() - interval '2 days' FROM generate_series(1, 2500) AS n`,
    );
    await test.app.get(IdempotencyService).purge();
    expect([await hasKey(old), await hasKey(young)]).toEqual([false, true]);
    expect(await test.database.query(`SELECT 1 FROM idempotency_keys WHERE caller = 'crowd'`)).toEqual([]);
  });

  it('at the log-in is checked but not kept: every log-in makes a token', async () => {
    const credentials = { email: `${unique('ada')}@example.com`, password: PASSWORD };
    dataOf(await test.anonymous.post('/api/auth/register', credentials));
    const key = randomUUID();
    const replies = [
      await test.anonymous.post('/api/auth/login', credentials, keyed(key)),
      await test.anonymous.post('/api/auth/login', credentials, keyed(key)),
    ];
    expect(replies.map((reply) => [reply.status, reply.headers['idempotent-replayed']])).toEqual([
      [200, undefined],
      [200, undefined],
    ]);
    expect(await hasKey(key)).toBe(false);
  });

  it('leaves no password in the database', async () => {
    const [key, password] = [randomUUID(), `secret ${randomUUID()}`];
    await test.anonymous.post('/api/auth/register', { email: `${unique('ada')}@example.com`, password }, keyed(key));
    const [row] = await test.database.query<object>('SELECT * FROM idempotency_keys WHERE key = $1', [key]);
    expect(row).toMatchObject({ caller: 'address:127.0.0.1', method: 'POST', path: '/api/auth/register', status: 201 });
    expect(JSON.stringify(row)).not.toMatch(/secret|argon2/);
  });
});
