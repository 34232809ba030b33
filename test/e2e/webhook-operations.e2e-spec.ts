import { ConsumerLag } from '../../src/events/feed/consumer-lag';
import { WebhookMetrics } from '../../src/events/webhooks/webhook-metrics';
import { WebhookRetention } from '../../src/events/webhooks/webhook-retention';
import { log } from '../../src/platform/logging/logger';
import type { Reply } from '../support/api';
import { aProduct, dataOf } from '../support/factories';
import { logLines } from '../support/log-lines';
import { Receiver } from '../support/receiver';
import { startTestApp, type TestApp } from '../support/test-app';
import { theDeliveryOf } from '../support/webhooks';

const PATH = '/api/webhook-endpoints';

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

describe('In production', () => {
  let production: TestApp;
  beforeAll(async () => {
    production = await startTestApp({ NODE_ENV: 'production', WEBHOOK_ALLOWED_HOSTS: '127.0.0.1' });
  });
  afterAll(() => production.close());

  it('webhooks go over https, but to hosts that are allowed', async () => {
    const { admin } = production;
    expect(errorsOf(await admin.post(PATH, { url: 'http://shop.example/' }))).toEqual([
      'url: url must begin with https://; http:// only for hosts in WEBHOOK_ALLOWED_HOSTS',
    ]);
    const { id } = dataOf(await admin.post(PATH, { url: receiver.url, types: ['product.created'] }));
    expect(errorsOf(await admin.patch(`${PATH}/${id}`, { url: 'http://localhost/' }))[0]).toMatch(/^url: /);
    await aProduct(production);
    await production.sendWebhooks();
    expect(receiver.ids).toHaveLength(1);
  });

  it.each([
    'localhost',
    '127.0.0.2',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '10.0.0.1',
    '169.254.169.254',
    '[fd00::1]',
    '0.0.0.0',
  ])('nothing is connected to that is not public: %s', async (host) => {
    let connections = 0;
    const count = (): number => (connections += 1);
    receiver.onConnection(count);
    const url = `https://${host}:${receiver.port}/`;
    const endpoint = dataOf(await production.admin.post(PATH, { url, types: ['product.updated'] }));
    dataOf(await production.admin.post(`${PATH}/${endpoint.id}/test`));
    await production.sendWebhooks();
    const { attempts } = await theDeliveryOf(production, endpoint);
    expect(attempts).toMatchObject([{ status: null, error: expect.stringContaining('is not allowed') }]);
    expect(connections).toBe(0);
  });
});

describe('Outside production', () => {
  it('this machine may be sent to, and the log says so, once', async () => {
    const lines = logLines();
    const other = await startTestApp({ LOG_LEVEL: 'warn' });
    dataOf(await other.admin.post(PATH, { url: receiver.url, types: ['product.created'] }));
    await aProduct(other);
    await aProduct(other);
    await other.sendWebhooks();
    await other.close();
    log.level = 'error';
    expect(receiver.ids).toHaveLength(2);
    expect(lines.filter(({ msg }) => /this machine/.test(String(msg)))).toHaveLength(1);
  });
});

describe('What is kept', () => {
  it('is shown in the metrics: attempts, what waits, who is disabled, and how far events were noted', async () => {
    const [{ id }] = [await create(), await create({ types: ['order.created'] })];
    receiver.answers(500);
    await aProduct(test);
    await test.sendWebhooks();
    const age = `interval '100 seconds'`;
    await test.database.query(`UPDATE webhook_deliveries SET event_at = event_at - ${age} WHERE state = 'pending'`);
    await aProduct(test);
    await test.tick();
    await test.database.query(
      `UPDATE event_ticks SET at = at - ${age} WHERE (era, id) = (SELECT era, tick FROM event_head)`,
    );
    const measure = async (): Promise<(name: string) => number> => {
      await test.app.get(WebhookMetrics, { strict: false }).measure();
      await test.app.get(ConsumerLag, { strict: false }).measure();
      const { text } = await test.anonymous.get('/metrics');
      return (name) =>
        Number(
          text
            .split('\n')
            .find((line) => line.startsWith(`holdfast_${name} `))
            ?.split(' ')[1],
        );
    };
    const before = await measure();
    expect(before('webhook_attempts_total{outcome="failed"}')).toBeGreaterThan(0);
    expect(before('webhook_oldest_pending_seconds')).toBeGreaterThanOrEqual(100);
    expect(before('webhook_endpoints_disabled')).toBe(0);
    expect(before('event_consumer_lag_seconds{consumer="webhooks"}')).toBeGreaterThanOrEqual(100);
    await test.sendWebhooks();
    dataOf(await test.admin.patch(`${PATH}/${id}`, { state: 'disabled' }));
    const after = await measure();
    expect(after('webhook_oldest_pending_seconds')).toBe(0);
    expect(after('webhook_endpoints_disabled')).toBe(1);
    expect(after('event_consumer_lag_seconds{consumer="webhooks"}')).toBe(0);
  });

  it('are deliveries of as many days as events are, and whatever an endpoint is still to get', async () => {
    const endpoint = await create();
    await aProduct(test);
    await test.sendWebhooks();
    receiver.answers(500);
    await aProduct(test);
    await test.sendWebhooks();
    const purge = async (): Promise<string[]> => {
      await test.app.get(WebhookRetention, { strict: false }).purge();
      const rows = await test.database.query<{ state: string }>(
        `SELECT state, count(delivery_id) FROM webhook_deliveries LEFT JOIN webhook_attempts ON delivery_id = id
         WHERE endpoint_id = $1 GROUP BY id, state ORDER BY state`,
        [endpoint.id],
      );
      return rows.map(({ state }) => state);
    };
    const age = async (days: number): Promise<void> => {
      const start = (Date.now() - days * 86_400_000).toString(16).padStart(12, '0');
      for (const [table, column] of [
        ['webhook_attempts', 'delivery_id'],
        ['webhook_deliveries', 'id'],
      ]) {
        await test.database.query(
          `UPDATE ${table} SET ${column} = ($1 || right(replace(${column}::text, '-', ''), 20))::uuid`,
          [start],
        );
      }
    };
    await age(29.9);
    expect(await purge()).toEqual(['delivered', 'pending']);
    await age(30.1);
    expect(await purge()).toEqual(['pending']);
    dataOf(await test.admin.patch(`${PATH}/${endpoint.id}`, { state: 'disabled' }));
    expect(await purge()).toEqual([]);
    expect(await test.database.query('SELECT FROM webhook_attempts')).toEqual([]);
  });
});
