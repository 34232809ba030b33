import { Webhook } from 'standardwebhooks';
import { aProduct, dataOf } from '../support/factories';
import { Receiver, signatureOf } from '../support/receiver';
import { startTestApp, type TestApp } from '../support/test-app';

describe('Webhooks', () => {
  let test: TestApp;
  let receiver: Receiver;
  beforeAll(async () => {
    test = await startTestApp();
  });
  beforeEach(async () => {
    receiver = await Receiver.start();
  });
  afterEach(async () => {
    await receiver.stop();
    await test.database.query('DELETE FROM webhook_endpoints');
  });
  afterAll(() => test.close());

  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the API answered
  const anEndpoint = async (overrides: object = {}): Promise<any> =>
    dataOf(await test.admin.post('/api/webhook-endpoints', { url: receiver.url, ...overrides }));

  it('bring each event as the feed has it, signed as Standard Webhooks says', async () => {
    const { secret } = await anEndpoint();
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
