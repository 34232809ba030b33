import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { answerOf, ask, type Asked, asked, tracesOf } from '../support/asked';
import { askInOneBatch, LOCK_LEVELS } from '../support/batches';
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

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(async () => {
  await expectReconciled(test);
  await test.close();
});

describe('The cancellations of one batch', () => {
  /** In the order of their arrival, with the answer that each is to get. */
  const expected = {
    adas: '200',
    ordered: '200',
    unknown: '404 not_found',
    foreign: '404 not_found',
    byAdmin: '200',
    overdue: '409 expired',
    committed: '409 committed',
    once: '200',
    twice: '409 cancelled',
    keyed: '200',
    repeated: '200',
  };
  type Name = keyof typeof expected;
  const names = Object.keys(expected) as Name[];
  const succeeded = names.filter((name) => expected[name] === '200' && name !== 'repeated');
  /** What each of them holds; 1 where nothing is said. */
  const quantities: Partial<Record<Name, number>> = { adas: 2, ordered: 3, byAdmin: 4 };

  let product: Product;
  let ada: Api;
  let ids: Record<Name, string>;
  let orderId: string;
  let requests: Record<Name, Asked>;
  let replies: Record<Name, Reply>;
  let written: Record<string, number>;

  const cancelling = (who: Api, id: string, key?: string): Asked =>
    asked(who, ['post', `/api/reservations/${id}/cancel`], undefined, key ? { 'Idempotency-Key': key } : {});

  async function prepare(): Promise<void> {
    const hold = async (name?: Name): Promise<string> =>
      (await aReservation(ada, product.id, { quantity: (name && quantities[name]) ?? 1 })).id;
    const order = await anOrder(ada, product.id, quantities.ordered);
    orderId = order.id;
    const [once, keyed, overdue] = [await hold(), await hold(), await anOrder(ada, product.id)];
    ids = {
      ...{ adas: await hold('adas'), ordered: order.reservation_id, unknown: randomUUID(), foreign: await hold() },
      ...{ byAdmin: await hold('byAdmin'), overdue: overdue.reservation_id, committed: await hold() },
      ...{ once, twice: once, keyed, repeated: keyed },
    };
    await letTimePass(test, ids.overdue);
    dataOf(await ada.post(`/api/reservations/${ids.committed}/commit`));
    const key = randomUUID();
    const keys: Partial<Record<Name, string>> = { keyed: key, repeated: key };
    const callers: Partial<Record<Name, Api>> = { foreign: test.aUser(), byAdmin: test.admin };
    requests = Object.fromEntries(
      names.map((name) => [name, cancelling(callers[name] ?? ada, ids[name], keys[name])]),
    ) as typeof requests;
  }

  beforeAll(async () => {
    [product, ada] = [await aProduct(test, { initial_stock: 50 }), test.aUser()];
    await prepare();
    const gate = await aProduct(test);
    const { id } = await aReservation(ada, gate.id);
    const opener = {
      lock: { sql: LOCK_LEVELS, values: [gate.id] },
      attempt: () => ask(cancelling(ada, id)),
    };
    // The second of two for one reservation comes in a batch of its own.
    const queue = { openers: [opener], rows: { stock_movements: 1, audit_logs: 1 } };
    ({ replies, written } = await askInOneBatch(test, queue, requests));
  });

  it('are each answered for themselves, whatever becomes of the others', () => {
    expect(Object.fromEntries(names.map((name) => [name, answerOf(replies[name])]))).toEqual(expected);
    expect(names.map((name) => replies[name].body.request_id)).toEqual(names.map((name) => requests[name].requestId));
    const replayed = names.filter((name) => replies[name].headers['idempotent-replayed'] === 'true');
    expect(replayed).toEqual(['repeated']);
    expect(replies.repeated.body.data).toEqual(replies.keyed.body.data);
  });

  it.each(succeeded)('give its pieces back, and say what it is now: %s', async (name) => {
    const quantity = quantities[name] ?? 1;
    const { data } = replies[name].body;
    expect(data).toEqual(dataOf(await ada.get(`/api/reservations/${ids[name]}`)));
    expect(data).toMatchObject({
      ...{ id: ids[name], status: 'cancelled', user_id: ada.userId, order_id: name === 'ordered' ? orderId : null },
      items: [{ product_id: product.id, sku: product.sku, quantity, unit_price: '19.90' }],
    });
    expect(data.updated_at > data.created_at).toBe(true);
  });

  it.each(succeeded)('bear the actor and the request of each in all that is written for it: %s', async (name) => {
    const actor = `user:${requests[name].who.userId}`;
    const [order_id, pieces] = [name === 'ordered' ? orderId : null, quantities[name] ?? 1];
    const { audit, movements, history } = await tracesOf(test, requests[name]);
    const { user_id, total_amount, currency } = data(name);
    const purchase = { user_id, total_amount, currency, product_ids: [product.id] };
    const cancelled = {
      ...{ actor, action: 'reservation.cancelled', object_id: ids[name] },
      old_value: { status: 'active', expires_at: data(name).expires_at, order_id },
      new_value: { status: 'cancelled', order_id, ...purchase },
    };
    const reason = 'the reservation was cancelled';
    const withOrder = {
      ...{ actor, action: 'order.status_changed', object_id: orderId },
      old_value: { status: 'pending' },
      new_value: { status: 'cancelled', version: 2, reservation_id: ids[name], ...purchase, reason },
    };
    expect(audit).toEqual(name === 'ordered' ? [cancelled, withOrder] : [cancelled]);
    expect(movements).toEqual([
      {
        ...{ actor, kind: 'release', product_id: product.id, available_delta: pieces, reserved_delta: -pieces },
        ...{ reservation_id: ids[name], order_id },
      },
    ]);
    const change = { actor, order_id: orderId, from_status: 'pending', to_status: 'cancelled', reason };
    expect(history).toEqual(name === 'ordered' ? [change] : []);
  });

  const data = (name: Name): Record<string, unknown> => replies[name].body.data;

  it('cancel the pending order with its reservation', async () => {
    expect(dataOf(await ada.get(`/api/orders/${orderId}`))).toMatchObject({ status: 'cancelled', version: 2 });
  });

  it('leave nothing where they are refused or replayed', async () => {
    for (const name of names.filter((one) => !succeeded.includes(one))) {
      expect(await tracesOf(test, requests[name])).toEqual({ audit: [], movements: [], history: [] });
    }
    const done = succeeded.length;
    expect(written).toEqual({
      ...{ stock_movements: done, audit_logs: done + 1, order_status_changes: 1, idempotency_keys: 1 },
    });
  });
});
