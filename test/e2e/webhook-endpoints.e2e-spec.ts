import { randomUUID } from 'node:crypto';
import { AUDIT_ACTIONS } from '../../src/audit/audit-action';
import { PUBLISHED_TYPES } from '../../src/events/feed/event-types';
import type { Reply } from '../support/api';
import { aProduct, dataOf } from '../support/factories';
import { whileLocked } from '../support/race';
import { Receiver } from '../support/receiver';
import { startTestApp, type TestApp } from '../support/test-app';
import { type Endpoint, letTimeCome, reread, theDeliveryOf } from '../support/webhooks';

const PATH = '/api/webhook-endpoints';
const URL = 'https://shop.example/webhooks';

let test: TestApp;
let receiver: Receiver;
beforeAll(async () => {
  test = await startTestApp();
  receiver = await Receiver.start();
});
beforeEach(async () => {
  receiver.answers(204);
  receiver.received.length = 0;
  await test.sendWebhooks();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await test.database.query('DELETE FROM webhook_endpoints');
});
afterAll(async () => {
  await receiver.stop();
  await test.close();
});

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the API answered
const create = async (overrides: object = {}): Promise<any> =>
  dataOf(await test.admin.post(PATH, { url: receiver.url, types: ['product.created'], ...overrides }));
const errorsOf = ({ status, body }: Reply): string[] =>
  status === 400
    ? body.errors.map(({ field, message }: Record<string, string>) => `${field}: ${message}`)
    : [`${status}`];

describe('An endpoint', () => {
  it('is made, found, listed, changed and deleted', async () => {
    const made = await test.admin.post(PATH, { url: URL, description: 'The shop', ordering: 'object' });
    const { secret, ...endpoint } = dataOf(made);
    expect([made.status, made.headers['location'], made.headers['etag']]).toEqual([
      201,
      `${PATH}/${endpoint.id}`,
      '"1"',
    ]);
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(endpoint).toEqual({
      ...{ id: expect.any(String), url: URL, description: 'The shop', types: PUBLISHED_TYPES, ordering: 'object' },
      ...{ state: 'enabled', disabled_reason: null, failures: 0, failing_since: null, paused_until: null, version: 1 },
      ...{ created_at: expect.any(String), updated_at: expect.any(String) },
    });
    expect(dataOf(await test.admin.get(`${PATH}/${endpoint.id}`))).toEqual(endpoint);
    const older = await create();
    const list = await test.admin.get(`${PATH}?limit=1`);
    expect(list.body.data.map(({ id }: Endpoint) => id)).toEqual([older.id]);
    const next = await test.admin.get(`${PATH}?limit=1&cursor=${list.body.page.next_cursor}`);
    expect(next.body.data).toEqual([endpoint]);

    const change = { types: ['order.created'], state: 'disabled' };
    const changed = await test.admin.patch(`${PATH}/${endpoint.id}`, change, { 'If-Match': '"1"' });
    expect(dataOf(changed)).toMatchObject({ ...change, disabled_reason: 'by_administrator', version: 2, url: URL });
    expect((await test.admin.patch(`${PATH}/${endpoint.id}`, change, { 'If-Match': '"1"' })).status).toBe(412);
    const enabled = dataOf(await test.admin.patch(`${PATH}/${endpoint.id}`, { state: 'enabled' }));
    expect(enabled).toMatchObject({ state: 'enabled', disabled_reason: null, version: 3 });
    const remove = (headers = {}): Promise<Reply> =>
      test.admin.send('delete', `${PATH}/${endpoint.id}`, undefined, headers);
    expect((await remove({ 'If-Match': '"1"' })).status).toBe(412);
    expect(dataOf(await remove())).toEqual(enabled);
    expect([(await remove()).status, (await test.admin.get(`${PATH}/${endpoint.id}`)).status]).toEqual([404, 404]);
  });

  it('is the business of administrators', async () => {
    const { id } = await create();
    for (const [method, path] of [
      ['get', PATH],
      ['post', PATH],
      ['get', `${PATH}/${id}`],
      ['patch', `${PATH}/${id}`],
      ['delete', `${PATH}/${id}`],
      ['post', `${PATH}/${id}/test`],
      ['post', `${PATH}/${id}/rotate-secret`],
      ['post', `${PATH}/${id}/recover`],
      ['get', '/api/webhook-deliveries'],
      ['get', `/api/webhook-deliveries/${id}`],
      ['post', `/api/webhook-deliveries/${id}/retry`],
    ] as const) {
      expect([path, (await test.aUser().send(method, path)).status]).toEqual([path, 403]);
      expect([path, (await test.anonymous.send(method, path)).status]).toEqual([path, 401]);
    }
  });

  it.each([
    ...[
      'ftp://shop.example/',
      'shop.example',
      '/webhooks',
      'https://',
      'https://user@shop.example/',
      'javascript:alert(1)',
    ],
    ...[
      'https://user:word@shop.example/',
      'https://shop.example/#part',
      'https://a b/',
      `https://shop.example/${'x'.repeat(2000)}`,
    ],
    ...['', 'https://shop.example/\n', 'https://shop.example:99999/', 7, null, ['https://shop.example/']],
  ])('has no address such as %p', async (url) => {
    const refused = errorsOf(await test.admin.post(PATH, { url }));
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.filter((error) => !error.startsWith('url: url '))).toEqual([]);
  });

  it.each<[object, string]>([
    [{ types: [] }, 'types: types must be one or several of product.created'],
    [{ types: ['user.registered'] }, 'types: types must be one or several of product.created'],
    [{ types: ['webhook.test'] }, 'types: types must be one or several of product.created'],
    [{ types: ['order.created', 'order.created'] }, 'types: types must not name one twice'],
    [{ types: 'order.created' }, 'types: types must be one or several of product.created'],
    [{ ordering: 'time' }, 'ordering: ordering must be one of'],
    [{ description: 'x'.repeat(501) }, 'description: description must be shorter'],
    [{ secret: 'whsec_mine' }, 'secret: property secret should not exist'],
  ])('is not made with %p', async (wrong, error) => {
    const refused = errorsOf(await test.admin.post(PATH, { url: URL, ...wrong }));
    expect(refused[0]).toContain(error);
    const { id } = await create();
    expect(errorsOf(await test.admin.patch(`${PATH}/${id}`, wrong))[0]).toContain(error);
  });

  it('is recovered since a time, and changed in something', async () => {
    const { id } = await create();
    expect(errorsOf(await test.admin.post(`${PATH}/${id}/recover`, { since: 'yesterday' }))[0]).toMatch(
      /^since: since /,
    );
    expect(errorsOf(await test.admin.post(`${PATH}/${id}/recover`))[0]).toMatch(/^since: since /);
    expect(errorsOf(await test.admin.patch(`${PATH}/${id}`, {}))[0]).toMatch(/^body: /);
    for (const action of ['test', 'rotate-secret']) {
      expect((await test.admin.post(`${PATH}/${randomUUID()}/${action}`)).status).toBe(404);
    }
    expect((await test.admin.post(`${PATH}/${randomUUID()}/recover`, { since: '2026-01-31' })).status).toBe(404);
    expect((await test.admin.patch(`${PATH}/${randomUUID()}`, { state: 'enabled' })).status).toBe(404);
  });

  it('leaves an audit row of each change, of which other receivers hear nothing', async () => {
    const { id } = await create({ types: [...PUBLISHED_TYPES] });
    dataOf(await test.admin.patch(`${PATH}/${id}`, { description: 'The shop' }));
    dataOf(await test.admin.post(`${PATH}/${id}/rotate-secret`));
    dataOf(await test.admin.post(`${PATH}/${id}/test`));
    await test.sendWebhooks();
    dataOf(await test.admin.send('delete', `${PATH}/${id}`));
    const rows = dataOf(await test.admin.get(`/api/audit-logs?object_id=${id}`));
    const of = { actor: `user:${test.admin.userId}`, object_type: 'webhook_endpoint', object_id: id };
    const having = (fields: object): object => expect.objectContaining(fields);
    expect(rows.reverse()).toEqual([
      having({ ...of, action: 'webhook_endpoint.created', old_value: null, new_value: having({ description: null }) }),
      having({
        ...{ ...of, action: 'webhook_endpoint.updated' },
        ...{ old_value: having({ description: null }), new_value: having({ description: 'The shop', version: 2 }) },
      }),
      having({
        ...of,
        action: 'webhook_endpoint.secret_rotated',
        new_value: { previous_secret_until: expect.any(String) },
      }),
      having({ ...of, action: 'webhook.test', new_value: { url: receiver.url } }),
      having({ ...of, action: 'webhook_endpoint.deleted', old_value: having({ version: 3 }), new_value: null }),
    ]);
    expect(JSON.stringify(rows)).not.toContain('whsec_');
    // `webhook_endpoint.disabled` is in webhook-deliveries.e2e-spec.ts.
    expect(AUDIT_ACTIONS.filter((action) => action.startsWith('webhook'))).toHaveLength(6);
    expect(receiver.received.map(({ event }) => event.type)).toEqual(['webhook.test']);
  });

  it('waits, when it is made or enabled, for what is being noted: so it gets all that is committed later', async () => {
    const lock = { sql: `SELECT FROM event_consumers WHERE name = 'webhooks' FOR UPDATE` };
    const { id } = await whileLocked(test.database, lock, () => create({ types: ['order.created'] }));
    const change = { types: ['product.created'] };
    dataOf(await whileLocked(test.database, lock, () => test.admin.patch(`${PATH}/${id}`, change)));
    const product = await aProduct(test);
    await test.sendWebhooks();
    expect(receiver.received.map(({ event }) => event.object.id)).toEqual([product.id]);
  });

  it('that was deleted gets nothing, and what was pending is given up', async () => {
    const endpoint = await create();
    receiver.answers(500);
    await aProduct(test);
    await test.sendWebhooks();
    dataOf(await test.admin.send('delete', `${PATH}/${endpoint.id}`));
    await letTimeCome(test);
    await aProduct(test);
    await test.sendWebhooks();
    expect(receiver.ids).toHaveLength(1);
    expect(await theDeliveryOf(test, endpoint)).toMatchObject({
      state: 'dead',
      last_error: 'The endpoint was deleted',
    });
  });
});

describe('A test', () => {
  it('goes to one endpoint, even if it is disabled or paused, and says what came of it', async () => {
    const [endpoint] = [await create(), await create()];
    dataOf(await test.admin.patch(`${PATH}/${endpoint.id}`, { state: 'disabled' }));
    const asked = await test.admin.post(`${PATH}/${endpoint.id}/test`);
    expect([asked.status, asked.body.data]).toEqual([201, { event_id: expect.any(String) }]);
    await test.sendWebhooks();
    expect(receiver.received.map(({ event }) => event)).toEqual([
      dataOf(await test.admin.get(`/api/events/${asked.body.data.event_id}`)),
    ]);
    expect(receiver.received[0]!.event).toMatchObject({
      ...{ type: 'webhook.test', object: { type: 'webhook_endpoint', id: endpoint.id } },
      data: { old: null, new: { url: receiver.url } },
    });
    expect(await theDeliveryOf(test, endpoint)).toMatchObject({ state: 'delivered', last_status: 204 });
  });

  it('that fails is not repeated, and is not held against the endpoint', async () => {
    const endpoint = await create();
    receiver.answers(500);
    dataOf(await test.admin.post(`${PATH}/${endpoint.id}/test`));
    await test.sendWebhooks();
    expect(await theDeliveryOf(test, endpoint)).toMatchObject({ state: 'dead', last_status: 500, attempt_count: 1 });
    expect(await reread(test, endpoint)).toMatchObject({ failures: 0, failing_since: null });
  });
});
