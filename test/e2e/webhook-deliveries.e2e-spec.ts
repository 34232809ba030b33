import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { WebhookClient } from '../../src/events/webhooks/webhook-client';
import { WebhookDeliverer } from '../../src/events/webhooks/webhook-deliverer';
import { aProduct } from '../support/factories';
import type { Receiver } from '../support/receiver';
import { startTestApp, type TestApp } from '../support/test-app';
import {
  anEndpoint,
  deliveriesOf,
  type Endpoint,
  reread,
  secondsUntil,
  sendAgain,
  theDeliveryOf,
} from '../support/webhooks';

let test: TestApp;
const receivers: Receiver[] = [];

beforeAll(async () => {
  test = await startTestApp();
});
afterEach(async () => {
  await Promise.all(receivers.splice(0).map((receiver) => receiver.stop()));
  await test.app.get(WebhookDeliverer, { strict: false }).idle();
  await test.database.query('DELETE FROM webhook_endpoints');
});
afterAll(() => test.close());

async function start(overrides: object = {}): Promise<{ endpoint: Endpoint; receiver: Receiver }> {
  await test.tick();
  const started = await anEndpoint(test, overrides);
  receivers.push(started.receiver);
  return started;
}

describe('A webhook that is not taken', () => {
  it('is sent again a little later, with the same id, and each attempt can be looked into', async () => {
    const { endpoint, receiver } = await start();
    receiver.answers(500, {}, `not now ${'x'.repeat(2000)}`);
    await aProduct(test);
    await test.sendWebhooks();
    const failed = await theDeliveryOf(test, endpoint);
    expect(failed).toMatchObject({ state: 'pending', attempt_count: 1, last_status: 500, last_error: null });
    expect(secondsUntil(failed.next_attempt_at)).toBeGreaterThan(2);
    expect(secondsUntil(failed.next_attempt_at)).toBeLessThanOrEqual(6);
    await test.sendWebhooks();
    expect(receiver.ids).toHaveLength(1);

    receiver.answers(204);
    await sendAgain(test);
    expect(receiver.ids).toEqual([failed.event_id, failed.event_id]);
    const { attempts, ...delivered } = await theDeliveryOf(test, endpoint);
    expect(delivered).toMatchObject({ state: 'delivered', attempt_count: 2, last_status: 204, next_attempt_at: null });
    const attempt = { at: expect.any(String), duration_ms: expect.any(Number), error: null };
    expect(attempts).toEqual([
      { ...attempt, status: 500, response_head: `not now ${'x'.repeat(1016)}` },
      { ...attempt, status: 204, response_head: '' },
    ]);
    await sendAgain(test);
    expect(receiver.ids).toHaveLength(2);
  });

  it('is sent ten times, then given up, and sent again if somebody says so', async () => {
    const { endpoint, receiver } = await start();
    receiver.answers(500);
    await aProduct(test);
    await test.sendWebhooks();
    for (let attempts = 1; attempts < 10; attempts += 1) {
      expect(await theDeliveryOf(test, endpoint)).toMatchObject({ state: 'pending', attempt_count: attempts });
      await sendAgain(test);
    }
    const { id, state, next_attempt_at } = await theDeliveryOf(test, endpoint);
    expect([state, next_attempt_at]).toEqual(['dead', null]);
    await sendAgain(test);
    expect(receiver.ids).toHaveLength(10);
    receiver.answers(200);
    const retried = await test.admin.post(`/api/webhook-deliveries/${id}/retry`);
    expect([retried.status, retried.body.data]).toMatchObject([200, { id, state: 'pending' }]);
    await sendAgain(test);
    expect(await theDeliveryOf(test, endpoint)).toMatchObject({ state: 'delivered', attempt_count: 11 });
  });

  it('may have been: an answer that is lost means that it comes twice, with the same id', async () => {
    const { endpoint, receiver } = await start();
    receiver.answer = (response) => response.destroy();
    await aProduct(test);
    await test.sendWebhooks();
    const { attempts } = await theDeliveryOf(test, endpoint);
    expect(attempts).toMatchObject([{ status: null, error: 'socket hang up', response_head: null }]);
    receiver.answers(200);
    await sendAgain(test);
    expect(new Set(receiver.ids).size).toBe(1);
    expect(receiver.received.map(({ body }) => body)).toEqual([receiver.received[0]!.body, receiver.received[0]!.body]);
    expect(await theDeliveryOf(test, endpoint)).toMatchObject({ state: 'delivered' });
  });

  it('is not sent to where the receiver points', async () => {
    const { endpoint, receiver } = await start();
    const { receiver: other } = await start({ types: ['warehouse.created'] });
    receiver.answers(307, { Location: other.url });
    await aProduct(test);
    await test.sendWebhooks();
    expect(await theDeliveryOf(test, endpoint)).toMatchObject({ state: 'pending', last_status: 307 });
    expect(other.received).toEqual([]);
  });

  it.each<[string, (response: ServerResponse) => unknown, object]>([
    ['no answer', () => undefined, { status: null, error: 'No answer within 0.3 s' }],
    [
      'an upgrade',
      (response) => response.writeHead(101, { Upgrade: 'x', Connection: 'upgrade' }).end(),
      { status: null },
    ],
    [
      'an answer that does not end',
      (response) => response.writeHead(500).write('so far'),
      { status: 500, response_head: 'so far' },
    ],
    [
      'an answer that is too long',
      (response) => response.writeHead(500).end(Buffer.alloc(5_000_000, 'a\0é')),
      { status: 500, response_head: expect.stringMatching(/^(aé)+.?$/) },
    ],
    ['no HTTP', (response) => response.socket!.end('SSH-2.0-OpenSSH\r\n'), { status: null, error: /Parse Error/ }],
  ])('is not waited for long: %s', async (_, answer, expected) => {
    const { patience } = test.app.get(WebhookClient, { strict: false });
    const usual = { ...patience };
    Object.assign(patience, { totalMs: 300 });
    const { endpoint, receiver } = await start();
    receiver.answer = answer;
    await aProduct(test);
    await test.sendWebhooks();
    Object.assign(patience, usual);
    const [attempt] = (await theDeliveryOf(test, endpoint)).attempts;
    const { error, ...rest } = expected as { error?: string | RegExp };
    expect(attempt).toMatchObject(rest);
    expect(attempt.error ?? '').toMatch(error ?? '');
    expect(attempt.duration_ms).toBeLessThan(2_000);
    expect((attempt.response_head ?? '').length).toBeLessThanOrEqual(1024);
  });

  it('pauses all others to a receiver that says when it wants to be asked again', async () => {
    const { endpoint, receiver } = await start();
    receiver.answers(503, { 'Retry-After': '3600' });
    await aProduct(test);
    await test.sendWebhooks();
    const failed = await theDeliveryOf(test, endpoint);
    const { paused_until } = await reread(test, endpoint);
    for (const time of [failed.next_attempt_at, paused_until]) {
      expect(secondsUntil(time)).toBeGreaterThan(3_500);
      expect(secondsUntil(time)).toBeLessThanOrEqual(3_600);
    }
    await aProduct(test);
    await test.sendWebhooks();
    expect(receiver.ids).toHaveLength(1);
    receiver.answers(204);
    await sendAgain(test);
    expect(new Set(receiver.ids).size).toBe(2);
  });
});

describe('A delivery', () => {
  it('of an event that is no longer kept is given up, and nobody is to blame', async () => {
    const { endpoint, receiver } = await start();
    receiver.answers(500);
    await aProduct(test);
    await test.sendWebhooks();
    await test.database.query('UPDATE webhook_deliveries SET event_id = $1 WHERE endpoint_id = $2', [
      randomUUID(),
      endpoint.id,
    ]);
    await sendAgain(test);
    expect(receiver.ids).toHaveLength(1);
    expect(await theDeliveryOf(test, endpoint)).toMatchObject({
      ...{ state: 'dead', attempt_count: 2, last_status: null, last_error: 'The event is no longer kept' },
    });
    expect(await reread(test, endpoint)).toMatchObject({ failures: 1 });
  });

  it('is found by endpoint, state and event, on pages', async () => {
    const { endpoint, receiver } = await start();
    for (let number = 0; number < 3; number += 1) {
      await aProduct(test);
    }
    await test.sendWebhooks();
    const all = await deliveriesOf(test, endpoint);
    expect(all.map(({ event_id }) => event_id).sort()).toEqual([...receiver.ids].sort());
    const first = await test.admin.get(`/api/webhook-deliveries?endpoint_id=${endpoint.id}&limit=2&count=estimated`);
    const { next_cursor } = first.body.page;
    const second = await test.admin.get(
      `/api/webhook-deliveries?endpoint_id=${endpoint.id}&limit=2&cursor=${next_cursor}`,
    );
    expect([...first.body.data, ...second.body.data]).toEqual(all);
    expect(second.body.page.next_cursor).toBeNull();
    const byEvent = await test.admin.get(
      `/api/webhook-deliveries?event_id=${receiver.ids[0]}&endpoint_id=${endpoint.id}`,
    );
    expect(byEvent.body.data).toEqual(all.filter(({ event_id }) => event_id === receiver.ids[0]));
    expect(await deliveriesOf(test, endpoint, '&state=pending')).toEqual([]);
    const elsewhere = await test.admin.get(`/api/webhook-deliveries?state=delivered&cursor=${next_cursor}`);
    expect(elsewhere.body.code).toBe('invalid_cursor');
  });

  it('that there is not is not found', async () => {
    const path = `/api/webhook-deliveries/${randomUUID()}`;
    expect([(await test.admin.get(path)).status, (await test.admin.post(`${path}/retry`)).status]).toEqual([404, 404]);
  });
});
