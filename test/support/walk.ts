import { Api } from './api';
import { EventReader } from './event-stream';
import { dataOf } from './factories';
import { Receiver } from './receiver';
import { type TestApp, unique } from './test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';

/** Every operation of the OpenAPI document that the service serves, as `post /api/orders`. */
export async function operationsOf({ anonymous }: TestApp): Promise<string[]> {
  const { body: document } = await anonymous.get('/openapi.json');
  return Object.entries<object>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
}

/** Calls every operation so that it succeeds, and notes which those were. */
export class Walk {
  private readonly done = new Set<string>();

  constructor(private readonly test: TestApp) {}

  /** @param operation as `operationsOf` names it */
  hasDone(operation: string): boolean {
    const pattern = new RegExp(`^${operation.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
    return [...this.done].some((call) => pattern.test(call));
  }

  async everything(): Promise<void> {
    const { admin, anonymous } = this.test;
    const person = { email: `${unique('ada')}@example.com`, password: 'correct horse battery' };
    const start = (await admin.get('/api/events')).body.page.next_cursor;
    await this.ok(anonymous, 'post', '/api/auth/register', person);
    const { access_token: token, user } = await this.ok(anonymous, 'post', '/api/auth/login', person);
    const ada = new Api(this.test.url, { id: user.id, token });
    const product = await this.assortment();
    await this.reservations(ada, product);
    await this.orders(ada, product);
    await this.webhooks();
    await this.ok(ada, 'get', '/api/auth/me');
    for (const path of ['/', '/health/live', '/health/ready', '/metrics', '/problems/not-found']) {
      await this.ok(anonymous, 'get', path);
    }
    await this.test.tick();
    const [event] = await this.ok(admin, 'get', `/api/events?after=${start}`);
    await this.ok(admin, 'get', `/api/events/${event.id}`);
    (await EventReader.open(this.test)).close();
    this.done.add('get /api/events/stream');
    for (const path of ['/api/audit-logs', '/api/admin/metrics', '/api/admin/reconciliation']) {
      await this.ok(admin, 'get', path);
    }
  }

  private async assortment(): Promise<string> {
    const { admin, anonymous } = this.test;
    const made = { sku: unique('SKU'), name: 'Blue mug', price: '19.90', initial_stock: 50 };
    const { id } = await this.ok(admin, 'post', '/api/products', made);
    await this.ok(admin, 'patch', `/api/products/${id}`, { name: 'Red mug' });
    const warehouse = await this.ok(admin, 'post', '/api/warehouses', { code: unique('WH'), name: 'North' });
    await this.ok(admin, 'patch', `/api/warehouses/${warehouse.id}`, { name: 'South' });
    await this.ok(admin, 'post', `/api/products/${id}/stock-adjustments`, { delta: 5, reason: 'delivery' });
    const way = { from_warehouse_id: MAIN, to_warehouse_id: warehouse.id };
    await this.ok(admin, 'post', '/api/stock-transfers', { product_id: id, quantity: 3, ...way });
    await this.ok(admin, 'get', `/api/products/${id}/stock-movements`);
    await this.ok(admin, 'get', '/api/warehouses');
    await this.ok(anonymous, 'get', '/api/products?q=mug');
    await this.ok(anonymous, 'get', `/api/products/${id}`);
    return id;
  }

  private async reservations(ada: Api, product: string): Promise<void> {
    const reserve = async (): Promise<string> =>
      (await this.ok(ada, 'post', '/api/reservations', { product_id: product, quantity: 1 })).id;
    const id = await reserve();
    await this.ok(ada, 'post', `/api/reservations/${id}/extend`, { ttl_seconds: 900 });
    await this.ok(ada, 'get', `/api/reservations/${id}`);
    await this.ok(ada, 'get', `/api/reservations?product_id=${product}`);
    await this.ok(ada, 'post', `/api/reservations/${id}/commit`);
    await this.ok(ada, 'post', `/api/reservations/${await reserve()}/cancel`);
    await this.ok(ada, 'post', '/api/orders', { reservation_id: await reserve() });
  }

  private async orders(ada: Api, product: string): Promise<void> {
    const items = [{ product_id: product, quantity: 2 }];
    const key = { 'Idempotency-Key': unique('key') };
    const { id } = await this.ok(ada, 'post', '/api/orders', { items }, key);
    const again = await ada.post('/api/orders', { items }, key);
    expect([again.status, dataOf(again).id, again.headers['idempotent-replayed']]).toEqual([201, id, 'true']);
    await this.ok(ada, 'patch', `/api/orders/${id}/status`, { status: 'confirmed' });
    await this.ok(ada, 'get', `/api/orders/${id}`);
    await this.ok(ada, 'get', `/api/orders/${id}/history`);
    await this.ok(ada, 'get', '/api/orders?status=confirmed');
  }

  private async webhooks(): Promise<void> {
    const { admin } = this.test;
    const receiver = await Receiver.start();
    const { id } = await this.ok(admin, 'post', '/api/webhook-endpoints', { url: receiver.url });
    const path = `/api/webhook-endpoints/${id}`;
    const { event_id: event } = await this.ok(admin, 'post', `${path}/test`);
    await this.test.sendWebhooks();
    await receiver.stop();
    expect(receiver.ids).toContain(event);
    const [delivery] = await this.ok(admin, 'get', `/api/webhook-deliveries?event_id=${event}`);
    await this.ok(admin, 'get', `/api/webhook-deliveries/${delivery.id}`);
    await this.ok(admin, 'post', `/api/webhook-deliveries/${delivery.id}/retry`);
    await this.ok(admin, 'get', '/api/webhook-endpoints');
    await this.ok(admin, 'get', path);
    await this.ok(admin, 'patch', path, { state: 'disabled' });
    await this.ok(admin, 'post', `${path}/rotate-secret`);
    await this.ok(admin, 'post', `${path}/recover`, { since: '2026-01-31' });
    await this.ok(admin, 'delete', path);
  }

  private async ok(
    caller: Api,
    method: 'get' | 'post' | 'patch' | 'delete',
    path: string,
    ...[body, headers = {}]: [body?: object, headers?: Record<string, string>]
  ): Promise<ReturnType<typeof dataOf>> {
    const reply = await caller.send(method, path, body, headers);
    const data: unknown = dataOf(reply);
    this.done.add(`${method} ${path.split('?')[0]}`);
    return data;
  }
}
