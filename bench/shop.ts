import { randomUUID } from 'node:crypto';
import { tokenFor } from './service';

const PRODUCTS = 100;
const PIECES = 10_000;
/** Abandoned holds end during the soak. */
const SHORT_HOLD_SECONDS = 5;

interface Answer {
  data: { id: string; version: number; ok: boolean };
  code?: string;
}

interface Sent {
  body?: object;
  /** A status that is expected besides success. */
  mayBe?: number;
}

/** Simulated customers, and an administrator who ships and restocks. */
export class Shop {
  /** Unexpected answers, with their counts. */
  readonly surprises = new Map<string, number>();
  private times: number[] = [];

  private constructor(
    private readonly url: string,
    private readonly admin: string,
    private readonly products: string[],
  ) {}

  static async open(url: string, admin: string): Promise<Shop> {
    const shop = new Shop(url, admin, []);
    for (let number = 0; number < PRODUCTS; number += 1) {
      const body = { sku: `SOAK-${number}`, name: `Thing ${number}`, price: '9.90', initial_stock: PIECES };
      shop.products.push((await shop.ask(admin, 'POST', '/api/products', { body })).data.id);
    }
    return shop;
  }

  /** Runs one customer after the other until `goesOn` returns false. */
  async visit(goesOn: () => boolean): Promise<void> {
    while (goesOn()) {
      await this.buy(tokenFor(randomUUID(), 'user'));
    }
  }

  /** The times of all requests since the last call, in milliseconds, sorted. */
  takeTimes(): number[] {
    const times = this.times.sort((left, right) => left - right);
    this.times = [];
    return times;
  }

  async isReconciled(): Promise<boolean> {
    return (await this.ask(this.admin, 'GET', '/api/admin/reconciliation')).data.ok;
  }

  private async buy(token: string): Promise<void> {
    await this.ask(token, 'GET', '/api/products?limit=20');
    const items = this.basket();
    const chance = Math.random();
    if (chance < 0.3) {
      const { data: order } = await this.ask(token, 'POST', '/api/orders', { body: { items }, mayBe: 409 });
      return order ? this.fulfil(token, order.id) : this.restock(items);
    }
    const ttl_seconds = chance < 0.5 ? SHORT_HOLD_SECONDS : undefined;
    const asked = { body: { items, ttl_seconds }, mayBe: 409 };
    const { data: held } = await this.ask(token, 'POST', '/api/reservations', asked);
    if (!held) {
      return this.restock(items);
    }
    if (chance > 0.5) {
      await this.ask(token, 'POST', `/api/reservations/${held.id}/${chance < 0.7 ? 'cancel' : 'commit'}`);
    }
    await this.ask(token, 'GET', '/api/orders');
  }

  private async fulfil(token: string, id: string): Promise<void> {
    const path = `/api/orders/${id}/status`;
    await this.ask(token, 'PATCH', path, { body: { status: 'confirmed' } });
    if (Math.random() < 0.2) {
      await this.ask(token, 'PATCH', path, { body: { status: 'cancelled', reason: 'changed my mind' } });
      return;
    }
    for (const status of ['processing', 'shipped', 'delivered']) {
      await this.ask(this.admin, 'PATCH', path, { body: { status } });
    }
    await this.ask(this.admin, 'GET', '/api/orders?status=delivered&sort=highest_value');
  }

  private async restock(items: readonly { product_id: string }[]): Promise<void> {
    for (const { product_id } of items) {
      const body = { delta: PIECES, reason: 'delivery' };
      await this.ask(this.admin, 'POST', `/api/products/${product_id}/stock-adjustments`, { body });
    }
  }

  /** One to three products, some much more popular than others. */
  private basket(): { product_id: string; quantity: number }[] {
    const size = 1 + Math.floor(Math.random() * 3);
    const chosen = Array.from({ length: size }, () => this.products[Math.floor(Math.random() ** 3 * PRODUCTS)]!);
    return [...new Set(chosen)].map((product_id) => ({ product_id, quantity: 1 + Math.floor(Math.random() * 3) }));
  }

  private async ask(token: string, method: string, path: string, sent: Sent = {}): Promise<Answer> {
    const startedAt = performance.now();
    const response = await fetch(this.url + path, {
      method,
      headers: {
        Authorization: `Bearer ${token}`,
        'Content-Type': 'application/json',
        ...(method === 'POST' && { 'Idempotency-Key': randomUUID() }),
      },
      body: sent.body && JSON.stringify(sent.body),
    });
    const answer = (await response.json()) as Answer;
    this.times.push(performance.now() - startedAt);
    if (!response.ok && response.status !== sent.mayBe) {
      const what = `${method} ${path.replace(/[0-9a-f-]{36}/g, '…')}: ${response.status} ${answer.code}`;
      this.surprises.set(what, (this.surprises.get(what) ?? 0) + 1);
    }
    return answer;
  }
}
