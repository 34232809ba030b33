import type { ServerResponse } from 'node:http';
import { WebhookDeliverer } from '../../src/events/webhooks/webhook-deliverer';
import { WebhookFanOut } from '../../src/events/webhooks/webhook-fan-out';
import { TransactionRunner } from '../../src/platform/database/transaction-runner';
import { aProduct, dataOf } from '../support/factories';
import { until } from '../support/race';
import type { Receiver } from '../support/receiver';
import { startTestApp, type TestApp } from '../support/test-app';
import {
  anEndpoint,
  deliveriesOf,
  type Endpoint,
  letTimeCome,
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

/** Makes the deliveries of what has happened, and begins to send them, without waiting for the answers. */
async function beginToSend(): Promise<void> {
  await test.tick();
  await test.app.get(WebhookFanOut, { strict: false }).run();
  const deliverer = test.app.get(WebhookDeliverer, { strict: false });
  while (await deliverer.run()) {
    // There is more.
  }
}

const disabledRows = async ({ id }: Endpoint): Promise<object[]> =>
  dataOf(await test.admin.get(`/api/audit-logs?object_id=${id}&action=webhook_endpoint.disabled`));

describe('An endpoint', () => {
  it('that is gone is disabled at once, and what it misses can be recovered', async () => {
    const { endpoint, receiver } = await start();
    receiver.answers(410);
    await aProduct(test);
    await test.sendWebhooks();
    expect(await reread(test, endpoint)).toMatchObject({ state: 'disabled', disabled_reason: 'gone', version: 2 });
    expect(await disabledRows(endpoint)).toMatchObject([
      { actor: 'system:webhook-delivery', new_value: { reason: 'gone', url: endpoint.url } },
    ]);
    const since = new Date(Date.now() - 60_000).toISOString();
    await aProduct(test);
    await test.sendWebhooks();
    expect(receiver.ids).toHaveLength(1);
    expect((await deliveriesOf(test, endpoint)).map(({ state, last_error }) => [state, last_error])).toEqual([
      ['dead', 'The endpoint was disabled'],
      ['dead', null],
    ]);

    receiver.answers(200);
    dataOf(await test.admin.patch(`/api/webhook-endpoints/${endpoint.id}`, { state: 'enabled' }));
    await test.sendWebhooks();
    expect(receiver.ids).toHaveLength(1);
    const later = new Date(Date.now() + 60_000).toISOString();
    const recover = async (from: string): Promise<object> =>
      dataOf(await test.admin.post(`/api/webhook-endpoints/${endpoint.id}/recover`, { since: from }));
    expect(await recover(later)).toEqual({ deliveries: 0 });
    expect(await recover(since)).toEqual({ deliveries: 2 });
    await test.sendWebhooks();
    expect(new Set(receiver.ids).size).toBe(2);
    expect(await deliveriesOf(test, endpoint, '&state=delivered')).toHaveLength(2);
  });

  it('that has failed five times in a row gets one request a minute, until one succeeds', async () => {
    const { endpoint, receiver } = await start();
    receiver.answers(500);
    for (let number = 0; number < 7; number += 1) {
      await aProduct(test);
    }
    await test.sendWebhooks();
    expect(receiver.ids).toHaveLength(7);
    await sendAgain(test);
    expect(receiver.ids).toHaveLength(8);
    const { failures, paused_until } = await reread(test, endpoint);
    expect(failures).toBe(8);
    expect(secondsUntil(paused_until)).toBeGreaterThan(50);
    expect(secondsUntil(paused_until)).toBeLessThanOrEqual(60);
    receiver.answers(200);
    await sendAgain(test);
    expect(await reread(test, endpoint)).toMatchObject({ failures: 0, failing_since: null, paused_until: null });
    expect(await deliveriesOf(test, endpoint, '&state=delivered')).toHaveLength(7);
  });

  it('that has failed for five days is disabled; one that has taken something meanwhile is not', async () => {
    const [dead, alive] = [await start(), await start()];
    dead.receiver.answers(500);
    alive.receiver.answers(500);
    const fail = async (): Promise<void> => {
      await aProduct(test);
      await sendAgain(test);
    };
    await fail();
    const since = (await reread(test, dead.endpoint)).failing_since;
    expect(Math.abs(secondsUntil(since))).toBeLessThan(10);
    const daysAgo = (days: number): Promise<object[]> =>
      test.database.query(`UPDATE webhook_endpoints SET failing_since = failing_since - interval '${days} days'`);
    await daysAgo(4.9);
    await fail();
    alive.receiver.answers(200);
    await fail();
    alive.receiver.answers(500);
    await daysAgo(0.2);
    await fail();
    expect(await reread(test, dead.endpoint)).toMatchObject({ state: 'disabled', disabled_reason: 'failing' });
    expect(await disabledRows(dead.endpoint)).toMatchObject([{ new_value: { reason: 'failing' } }]);
    expect(await reread(test, alive.endpoint)).toMatchObject({ state: 'enabled', failures: expect.any(Number) });
    expect(await disabledRows(alive.endpoint)).toEqual([]);
  });

  it('that hangs holds up no other, and gets ten requests at a time', async () => {
    const [slow, quick] = [await start(), await start()];
    const held: ServerResponse[] = [];
    slow.receiver.answer = (response) => held.push(response);
    for (let number = 0; number < 12; number += 1) {
      await aProduct(test);
    }
    await beginToSend();
    await until(async () => held.length === 10, 'ten are under way');
    await until(async () => {
      await beginToSend();
      return quick.receiver.ids.length === 12;
    }, 'the other has got all');
    expect(held).toHaveLength(10);
    slow.receiver.answers(204);
    held.forEach((response) => response.writeHead(204).end());
    await test.app.get(WebhookDeliverer, { strict: false }).idle();
    await test.sendWebhooks();
    expect(new Set(slow.receiver.ids).size).toBe(12);
    expect(await deliveriesOf(test, slow.endpoint, '&state=delivered')).toHaveLength(12);
  });

  it('that wants the events of an object in order gets none before the one before it', async () => {
    const [ordered, other] = [await start({ ordering: 'object' }), await start()];
    [ordered, other].forEach(({ receiver }) => receiver.answers(500));
    const one = await aProduct(test);
    await aProduct(test);
    for (const name of ['Second', 'Third']) {
      dataOf(await test.admin.patch(`/api/products/${one.id}`, { name }));
    }
    await test.sendWebhooks();
    const seen = ({ receiver }: { receiver: Receiver }): string[] =>
      receiver.received.map(({ event }) => `${event.object.id === one.id ? 1 : 2} ${event.data.new.name}`);
    expect(seen(ordered).sort()).toEqual(['1 Blue mug', '2 Blue mug']);
    expect(seen(other)).toHaveLength(4);
    ordered.receiver.received.length = 0;
    ordered.receiver.answers(204);
    await test.sendWebhooks();
    expect(seen(ordered)).toEqual([]);
    await letTimeCome(test);
    for (let round = 0; round < 3; round += 1) {
      await test.sendWebhooks();
    }
    expect(seen(ordered).filter((text) => text.startsWith('1'))).toEqual(['1 Blue mug', '1 Second', '1 Third']);
  });

  it('that wants order gets the next one when the one before was given up', async () => {
    const { endpoint, receiver } = await start({ ordering: 'object' });
    const { id } = await aProduct(test);
    dataOf(await test.admin.patch(`/api/products/${id}`, { name: 'Second' }));
    receiver.answers(500);
    await test.sendWebhooks();
    await test.database.query('UPDATE webhook_deliveries SET failures = 9 WHERE endpoint_id = $1 AND attempts = 1', [
      endpoint.id,
    ]);
    await sendAgain(test);
    receiver.answers(204);
    await sendAgain(test);
    expect((await deliveriesOf(test, endpoint)).map(({ state }) => state)).toEqual(['delivered', 'dead']);
  });
});

describe('The look for what is due', () => {
  const deliverer = (): WebhookDeliverer => test.app.get(WebhookDeliverer, { strict: false });
  afterEach(() => Object.assign(deliverer(), { restFactor: 0 }));

  it('passes over an endpoint where all waits for something earlier, until that has ended', async () => {
    const [ordered, other] = [await start({ ordering: 'object' }), await start()];
    const held: ServerResponse[] = [];
    ordered.receiver.answer = (response) => held.push(response);
    const { id } = await aProduct(test);
    await beginToSend();
    await until(async () => held.length === 1, 'the first is under way');
    dataOf(await test.admin.patch(`/api/products/${id}`, { name: 'Second' }));
    await beginToSend();
    expect(await deliverer().run()).toBe(false);
    const looks = jest.spyOn(TransactionRunner.prototype, 'run');
    Object.assign(deliverer(), { restFactor: 1e6 });
    await deliverer().run();
    await deliverer().run();
    expect(looks).toHaveBeenCalledTimes(1);
    looks.mockRestore();
    await aProduct(test);
    await beginToSend();
    await until(async () => other.receiver.ids.length === 3, 'the other has got all');
    expect(held).toHaveLength(1);
    ordered.receiver.answers(204);
    held[0]!.writeHead(204).end();
    await deliverer().idle();
    await test.sendWebhooks();
    expect(ordered.receiver.received.map(({ event }) => event.data.new.name)).toEqual([
      'Blue mug',
      'Second',
      'Blue mug',
    ]);
  });
});

describe('Several processes', () => {
  let other: TestApp;
  beforeAll(async () => {
    other = await startTestApp({}, test.database);
  });
  afterAll(() => other.close());

  it('send each event once, if it is taken', async () => {
    const { receiver } = await start();
    for (let number = 0; number < 25; number += 1) {
      await aProduct(test);
    }
    await test.tick();
    await test.app.get(WebhookFanOut, { strict: false }).run();
    while (receiver.ids.length < 25) {
      await Promise.all([test.sendWebhooks(), other.sendWebhooks()]);
    }
    expect([receiver.ids.length, new Set(receiver.ids).size]).toEqual([25, 25]);
  });

  it('take over what a killed one was about, and are not disturbed by what it says late', async () => {
    const { endpoint, receiver } = await start();
    const held: ServerResponse[] = [];
    receiver.answer = (response) => held.push(response);
    const { id } = await aProduct(test);
    await beginToSend();
    await until(async () => held.length === 1, 'it has come');
    await other.sendWebhooks();
    expect(receiver.ids).toHaveLength(1);
    const { next_attempt_at } = await theDeliveryOf(test, endpoint);
    expect(secondsUntil(next_attempt_at)).toBeGreaterThan(50);
    expect(secondsUntil(next_attempt_at)).toBeLessThanOrEqual(60);

    receiver.answers(204);
    await letTimeCome(test);
    await other.sendWebhooks();
    expect(receiver.received.map(({ event }) => event.object.id)).toEqual([id, id]);
    expect(new Set(receiver.ids).size).toBe(1);
    held[0]!.writeHead(500).end();
    await test.app.get(WebhookDeliverer, { strict: false }).idle();
    expect(await theDeliveryOf(test, endpoint)).toMatchObject({
      state: 'delivered',
      attempt_count: 2,
      last_status: 204,
    });
  });
});
