import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { answerOf } from '../support/asked';
import { rowCounts } from '../support/database';
import {
  anOrder,
  aProduct,
  aReservation,
  dataOf,
  expectReconciled,
  letTimePass,
  type Order,
} from '../support/factories';
import { whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const SYSTEM = 'system:reservation-expiry';

let test: TestApp;
let user: Api;
let productId: string;
beforeAll(async () => {
  test = await startTestApp();
});
beforeEach(async () => {
  [user, productId] = [test.aUser(), (await aProduct(test)).id];
});
afterAll(() => test.close());

const expiryOf = async ({ reservation_id }: Order): Promise<string> =>
  dataOf(await user.get(`/api/reservations/${reservation_id}`)).expires_at;

/** No sweep runs in these tests but those that they ask for. */
describe('An order whose hold is over', () => {
  let order: Order;
  beforeEach(async () => {
    order = await anOrder(user, productId, 3);
    await letTimePass(test, order.reservation_id);
  });
  afterEach(() => expectReconciled(test));

  const read = (): Promise<Reply> => user.get(`/api/orders/${order.id}`);
  const bringTo = (status: string, ifMatch?: string, by = user): Promise<Reply> =>
    by.patch(`/api/orders/${order.id}/status`, { status }, ifMatch === undefined ? {} : { 'If-Match': ifMatch });

  it('reads as cancelled before the sweep, and not one bit different after it', async () => {
    const before = await read();
    const over = { status: 'cancelled', allowed_transitions: [], version: 2, expires_at: null };
    expect(before.body.data).toEqual({ ...order, ...over, updated_at: await expiryOf(order) });
    expect(before.headers['etag']).toBe('"2"');
    const reservation = dataOf(await user.get(`/api/reservations/${order.reservation_id}`));
    expect(await test.sweep()).toBe(1);
    const after = await read();
    expect([after.body.data, after.headers['etag']]).toEqual([before.body.data, '"2"']);
    expect(dataOf(await user.get(`/api/reservations/${order.reservation_id}`))).toEqual(reservation);
  });

  it('is in the lists and has its history as soon as the sweep has written it', async () => {
    const lists = async (): Promise<unknown[]> => {
      const [all, pending, cancelled] = [
        dataOf(await user.get('/api/orders')),
        dataOf(await user.get('/api/orders?status=pending')),
        dataOf(await user.get('/api/orders?status=cancelled')),
      ];
      return [all[0].status, pending.length, cancelled.length];
    };
    expect(await lists()).toEqual(['pending', 1, 0]);
    expect(dataOf(await user.get(`/api/orders/${order.id}/history`))).toEqual([]);
    await test.sweep();
    expect(await lists()).toEqual(['cancelled', 0, 1]);
    expect(dataOf(await user.get(`/api/orders/${order.id}/history`))).toMatchObject([
      { from: 'pending', to: 'cancelled', actor: SYSTEM },
    ]);
  });

  it.each([
    ['confirmed', undefined, '409 expired'],
    ['confirmed', '"2"', '409 expired'],
    ['confirmed', '"1"', '412 version_mismatch'],
    ['cancelled', undefined, '409 invalid_transition'],
    ['cancelled', '"2"', '409 invalid_transition'],
    ['cancelled', '"1"', '412 version_mismatch'],
    ['pending', undefined, '409 invalid_transition'],
  ])('is not brought to %s with If-Match %s: %s, and nothing is written', async (status, ifMatch, answer) => {
    const before = [await rowCounts(test.database), (await read()).body.data];
    const reply = await bringTo(status, ifMatch);
    expect(answerOf(reply)).toBe(answer);
    if (answer.endsWith('invalid_transition')) {
      expect(reply.body).toMatchObject({ from: 'cancelled', to: status, allowed: [] });
    }
    if (answer.endsWith('version_mismatch')) {
      expect(reply.body).toMatchObject({ current_version: 2 });
    }
    expect([await rowCounts(test.database), (await read()).body.data]).toEqual(before);
    await test.sweep();
    const afterwards = await bringTo(status, ifMatch);
    expect(answerOf(afterwards)).toBe(answer.replace('expired', 'invalid_transition'));
  });

  it('is refused to administrators as well, who are told that it is cancelled', async () => {
    const reply = await bringTo('processing', undefined, test.admin);
    expect(reply).toMatchObject({ status: 409, body: { from: 'cancelled', to: 'processing', allowed: [] } });
  });

  it.each(['commit', 'cancel'])('is out of reach through its reservation, too: %s', async (action) => {
    expect(answerOf(await user.post(`/api/reservations/${order.reservation_id}/${action}`))).toBe('409 expired');
    expect(dataOf(await read())).toMatchObject({ status: 'cancelled', version: 2 });
  });
});

describe('An order whose hold ends while a change of it waits for locks', () => {
  it.each([
    ['confirmed', undefined, '409 expired'],
    ['confirmed', '"1"', '412 version_mismatch'],
    ['cancelled', undefined, '409 invalid_transition'],
    ['cancelled', '"1"', '412 version_mismatch'],
  ])('is not brought to %s with If-Match %s any more: %s', async (status, ifMatch, answer) => {
    const { id, reservation_id } = await anOrder(user, productId);
    const end = `UPDATE reservations SET expires_at = date_trunc('milliseconds', clock_timestamp()) WHERE id = $1`;
    const lock = {
      sql: 'SELECT FROM reservations WHERE id = $1 FOR UPDATE',
      values: [reservation_id],
      meanwhile: { sql: end, values: [reservation_id] },
    };
    const headers: Record<string, string> = ifMatch === undefined ? {} : { 'If-Match': ifMatch };
    const reply = await whileLocked(test.database, lock, () =>
      user.patch(`/api/orders/${id}/status`, { status }, headers),
    );
    expect(answerOf(reply)).toBe(answer);
  });
});

describe('The end of its hold', () => {
  it('is shown by a pending order wherever it is shown', async () => {
    const order: Order = await anOrder(user, productId);
    const expires_at = await expiryOf(order);
    expect(order).toMatchObject({ status: 'pending', expires_at });
    expect(dataOf(await user.get(`/api/orders/${order.id}`))).toEqual(order);
    expect(dataOf(await user.get('/api/orders'))).toEqual([order]);
  });

  it('is that of the reservation which it was made of, and moves with it', async () => {
    const reservation = await aReservation(user, productId, { ttl_seconds: 60 });
    const order: Order = dataOf(await user.post('/api/orders', { reservation_id: reservation.id }));
    expect(order).toMatchObject({ expires_at: reservation.expires_at });
    const { expires_at } = dataOf(await user.post(`/api/reservations/${reservation.id}/extend`, { ttl_seconds: 1800 }));
    expect(expires_at > reservation.expires_at).toBe(true);
    expect(dataOf(await user.get(`/api/orders/${order.id}`))).toEqual({ ...order, expires_at });
    expect(dataOf(await user.get('/api/orders'))).toEqual([{ ...order, expires_at }]);
  });

  it.each(['confirmed', 'cancelled'])('is null once it is %s', async (status) => {
    const order = await anOrder(user, productId);
    const changed = dataOf(await user.patch(`/api/orders/${order.id}/status`, { status }));
    expect(changed).toMatchObject({ status, expires_at: null });
    expect(dataOf(await user.get(`/api/orders/${order.id}`))).toEqual(changed);
    expect(dataOf(await user.get('/api/orders'))).toEqual([changed]);
  });

  it('is null once its reservation is committed, with which it is confirmed', async () => {
    const order = await anOrder(user, productId);
    const made = dataOf(await user.post(`/api/reservations/${order.reservation_id}/commit`));
    expect(made).toMatchObject({ id: order.id, status: 'confirmed', expires_at: null });
  });

  it('stays in the first answer, which is given again to whoever repeats the request', async () => {
    const [body, headers] = [{ items: [{ product_id: productId, quantity: 1 }] }, { 'Idempotency-Key': randomUUID() }];
    const first = dataOf(await user.post('/api/orders', body, headers));
    await letTimePass(test, first.reservation_id);
    const again = await user.post('/api/orders', body, headers);
    expect([again.status, again.headers['idempotent-replayed'], again.body.data]).toEqual([201, 'true', first]);
  });
});
