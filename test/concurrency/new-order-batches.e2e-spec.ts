import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { answerOf, ask, type Asked, asked, tracesOf } from '../support/asked';
import { askInOneBatch } from '../support/batches';
import {
  anOrder,
  aProduct,
  aReservation,
  dataOf,
  expectReconciled,
  letTimePass,
  type Product,
} from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

const LOCK_RESERVATION = 'SELECT FROM reservations WHERE id = $1 FOR UPDATE';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(async () => {
  await expectReconciled(test);
  await test.close();
});

describe('The new orders of one batch, each of a reservation', () => {
  /** In the order of their arrival, with the answer that each is to get. */
  const expected = {
    adas: '201',
    'in capital letters': '201',
    ordered: '409 duplicate',
    unknown: '404 not_found',
    foreign: '404 not_found',
    byAdmin: '201',
    overdue: '409 expired',
    cancelled: '409 cancelled',
    once: '201',
    twice: '409 duplicate',
    keyed: '201',
    repeated: '201',
  };
  type Name = keyof typeof expected;
  const names = Object.keys(expected) as Name[];
  const succeeded = names.filter((name) => expected[name] === '201' && name !== 'repeated');

  let product: Product;
  let ada: Api;
  let ids: Record<Name, string>;
  let requests: Record<Name, Asked>;
  let replies: Record<Name, Reply>;
  let written: Record<string, number>;

  const ordering = (who: Api, reservation_id: string, key?: string): Asked =>
    asked(who, ['post', '/api/orders'], { reservation_id }, key ? { 'Idempotency-Key': key } : {});

  async function prepare(): Promise<void> {
    const hold = async (): Promise<string> => (await aReservation(ada, product.id, { quantity: 2 })).id;
    const [once, keyed] = [await hold(), await hold()];
    const [overdue, cancelled] = [await hold(), await hold()];
    await letTimePass(test, overdue);
    dataOf(await ada.post(`/api/reservations/${cancelled}/cancel`));
    ids = {
      ...{ adas: await hold(), 'in capital letters': await hold(), unknown: randomUUID(), foreign: await hold() },
      ...{ ordered: (await anOrder(ada, product.id)).reservation_id, byAdmin: await hold() },
      ...{ overdue, cancelled, once, twice: once, keyed, repeated: keyed },
    };
    const key = randomUUID();
    const keys: Partial<Record<Name, string>> = { keyed: key, repeated: key };
    const callers: Partial<Record<Name, Api>> = { foreign: test.aUser(), byAdmin: test.admin };
    const spelled = (name: Name): string => (name === 'in capital letters' ? ids[name].toUpperCase() : ids[name]);
    requests = Object.fromEntries(
      names.map((name) => [name, ordering(callers[name] ?? ada, spelled(name), keys[name])]),
    ) as typeof requests;
  }

  beforeAll(async () => {
    [product, ada] = [await aProduct(test, { initial_stock: 50 }), test.aUser()];
    await prepare();
    // They need no level, and so nothing in common: two batches can be under way.
    const gates = [await aReservation(ada, product.id), await aReservation(ada, product.id)];
    const openers = gates.map(({ id }) => ({
      lock: { sql: LOCK_RESERVATION, values: [id] },
      attempt: () => ask(ordering(ada, id)),
    }));
    // The second of two for one reservation comes in a batch of its own.
    const queue = { openers, rows: { orders: 2, order_items: 2, audit_logs: 2 } };
    ({ replies, written } = await askInOneBatch(test, queue, requests));
  });

  it('are each answered for themselves, whatever becomes of the others', () => {
    expect(Object.fromEntries(names.map((name) => [name, answerOf(replies[name])]))).toEqual(expected);
    expect(names.map((name) => replies[name].body.request_id)).toEqual(names.map((name) => requests[name].requestId));
    const replayed = names.filter((name) => replies[name].headers['idempotent-replayed'] === 'true');
    expect(replayed).toEqual(['repeated']);
    expect(replies.repeated.body.data).toEqual(replies.keyed.body.data);
    expect(replies.ordered.body.field).toBe('reservation_id');
  });

  it.each(succeeded)('belong with their reservation to its owner: %s', async (name) => {
    const { body, headers } = replies[name];
    const { id } = body.data;
    expect(body.data).toMatchObject({
      ...{ status: 'pending', user_id: ada.userId, reservation_id: ids[name], version: 1, total_amount: '39.80' },
      items: [{ product_id: product.id, sku: product.sku, name: 'Blue mug', quantity: 2, line_total: '39.80' }],
    });
    expect([headers['location'], headers['etag']]).toEqual([`/api/orders/${id}`, '"1"']);
    expect(dataOf(await ada.get(`/api/orders/${id}`))).toEqual(body.data);
    const reservation = dataOf(await ada.get(`/api/reservations/${ids[name]}`));
    expect(reservation).toMatchObject({ status: 'active', order_id: id, updated_at: body.data.created_at });
  });

  it.each(succeeded)('bear the actor and the request of each: %s', async (name) => {
    const { id, user_id, reservation_id, total_amount, currency, version, items } = replies[name].body.data;
    const actor = `user:${requests[name].who.userId}`;
    const product_ids = [...new Set(items.map((item: { product_id: string }) => item.product_id))];
    const new_value = { status: 'pending', version, user_id, reservation_id, total_amount, currency, product_ids };
    expect(await tracesOf(test, requests[name])).toEqual({
      audit: [{ actor, action: 'order.created', object_id: id, old_value: null, new_value }],
      ...{ movements: [], history: [] },
    });
  });

  it('leave nothing where they are refused or replayed', async () => {
    for (const name of names.filter((one) => !succeeded.includes(one))) {
      expect(await tracesOf(test, requests[name])).toEqual({ audit: [], movements: [], history: [] });
    }
    const done = succeeded.length;
    expect(written).toEqual({ orders: done, order_items: done, audit_logs: done, idempotency_keys: 1 });
  });
});
