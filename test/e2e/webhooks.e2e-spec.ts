import { randomUUID } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { aProduct, dataOf } from '../support/factories';
import { logLines } from '../support/log-lines';
import { Receiver, signatureOf } from '../support/receiver';
import { JWT_SECRET, startTestApp, type TestApp } from '../support/test-app';
import { deliveriesOf, reread } from '../support/webhooks';

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

describe('Webhooks', () => {
  it('bring each event as the feed has it, signed as Standard Webhooks says', async () => {
    const { secret } = await create({ types: undefined });
    const { id } = await aProduct(test);
    await test.sendWebhooks();
    expect(receiver.received).toHaveLength(1);
    const [received] = receiver.received;
    const { headers, body, event, path } = received!;
    expect(path).toBe('POST /webhooks');
    expect(event).toMatchObject({ type: 'product.created', object: { type: 'product', id } });
    expect(event).toEqual(dataOf(await test.admin.get(`/api/events/${event.id}`)));
    expect(headers).toMatchObject({ 'webhook-id': event.id, 'content-type': 'application/json' });
    expect(new Webhook(secret).verify(body, headers)).toEqual(event);
    expect(headers['webhook-signature']).toBe(signatureOf(received!, secret));
    await test.sendWebhooks();
    expect(receiver.received).toHaveLength(1);
  });
});

describe('A secret', () => {
  it('is shown to who made the endpoint, also if the answer was lost, and lies nowhere as it is', async () => {
    const headers = { 'Idempotency-Key': randomUUID() };
    const body = { url: receiver.url, types: ['product.created'] };
    const lines = logLines();
    const first = await test.admin.post(PATH, body, headers);
    const again = await test.admin.post(PATH, body, headers);
    expect(again.headers['idempotent-replayed']).toBe('true');
    expect(again.body.data).toEqual(first.body.data);
    const { id, secret } = first.body.data;
    expect(await reread(test, { id })).not.toHaveProperty('secret');
    for (const table of ['webhook_endpoints', 'idempotency_keys', 'audit_logs']) {
      const [{ rows }] = (await test.database.query<{ rows: string }>(
        `SELECT json_agg(t)::text AS rows FROM ${table} AS t`,
      )) as [{ rows: string }];
      expect(rows).toContain(id);
      expect([table, rows.includes('whsec_'), rows.includes(secret.slice(6))]).toEqual([table, false, false]);
    }
    expect(JSON.stringify(lines)).not.toContain(secret.slice(6));
  });

  it('that is rotated signs for another day beside the new one', async () => {
    const { id, secret } = await create();
    const rotated = await test.admin.post(`${PATH}/${id}/rotate-secret`);
    expect([rotated.status, rotated.body.data]).toMatchObject([200, { id, version: 2 }]);
    const next = rotated.body.data.secret;
    expect(next).not.toBe(secret);
    await aProduct(test);
    await test.sendWebhooks();
    const [both] = receiver.received;
    expect(both!.headers['webhook-signature']).toBe(`${signatureOf(both!, next)} ${signatureOf(both!, secret)}`);
    [next, secret].forEach((one) => new Webhook(one).verify(both!.body, both!.headers));

    const [row] = await test.database.query<{ hours: number }>(
      `UPDATE webhook_endpoints SET previous_secret_until = previous_secret_until - interval '24 hours' WHERE id = $1
       RETURNING extract(epoch FROM previous_secret_until - clock_timestamp()) AS hours`,
      [id],
    );
    expect(Math.abs(row!.hours)).toBeLessThan(60);
    await aProduct(test);
    await test.sendWebhooks();
    expect(receiver.received[1]!.headers['webhook-signature']).toBe(signatureOf(receiver.received[1]!, next));
  });

  it('is read with the keys of before, and if none is right, the attempt says so', async () => {
    const { id, secret } = await create();
    const send = async (settings: Record<string, string>): Promise<void> => {
      const process = await startTestApp(settings, test.database);
      try {
        await aProduct(test);
        await process.sendWebhooks();
      } finally {
        await process.close();
      }
    };
    const [key, other] = ['k'.repeat(32), 'o'.repeat(32)];
    await send({ WEBHOOK_KEY: key });
    await send({ JWT_SECRET: other, JWT_SECRET_PREVIOUS: JWT_SECRET });
    expect(receiver.received.map((one) => one.headers['webhook-signature'])).toEqual(
      receiver.received.map((one) => signatureOf(one, secret)),
    );
    expect(receiver.received).toHaveLength(2);
    await send({ JWT_SECRET: other });
    expect(receiver.received).toHaveLength(2);
    const [delivery] = await deliveriesOf(test, { id }, '&state=pending');
    expect(delivery).toMatchObject({ last_status: null, last_error: expect.stringContaining('cannot be decrypted') });
  });
});
