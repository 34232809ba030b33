import { dataOf } from './factories';
import { Receiver } from './receiver';
import type { TestApp } from './test-app';

export interface Endpoint {
  id: string;
  secret: string;
  url: string;
}

/** An endpoint that gets what becomes of products, at a receiver of its own. */
export async function anEndpoint(
  { admin }: TestApp,
  overrides: object = {},
): Promise<{ endpoint: Endpoint; receiver: Receiver }> {
  const receiver = await Receiver.start();
  const body = { url: receiver.url, types: ['product.created', 'product.updated'], ...overrides };
  return { endpoint: dataOf(await admin.post('/api/webhook-endpoints', body)), receiver };
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the API answered
export async function deliveriesOf({ admin }: TestApp, { id }: { id: string }, filter = ''): Promise<any[]> {
  return dataOf(await admin.get(`/api/webhook-deliveries?endpoint_id=${id}&limit=100${filter}`));
}

/** The only delivery of an endpoint, with its attempts. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the API answered
export async function theDeliveryOf(test: TestApp, endpoint: { id: string }): Promise<any> {
  const [delivery, ...others] = await deliveriesOf(test, endpoint);
  expect(others).toEqual([]);
  return dataOf(await test.admin.get(`/api/webhook-deliveries/${delivery.id}`));
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the API answered
export async function reread({ admin }: TestApp, { id }: { id: string }): Promise<any> {
  return dataOf(await admin.get(`/api/webhook-endpoints/${id}`));
}

/** Lets the time come at which what is pending is sent again, and sends it. */
export async function sendAgain(test: TestApp): Promise<void> {
  await letTimeCome(test);
  await test.sendWebhooks();
}

export async function letTimeCome({ database }: TestApp): Promise<void> {
  const past = `clock_timestamp() - interval '1 second'`;
  await database.query(`UPDATE webhook_deliveries SET next_attempt_at = ${past} WHERE state = 'pending'`);
  await database.query('UPDATE webhook_endpoints SET paused_until = NULL');
}

/** In how many seconds a time will be. */
export function secondsUntil(time: string): number {
  return (Date.parse(time) - Date.now()) / 1000;
}
