import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { inOneBatch } from '../support/batches';
import { aProduct, aWarehouse, bring, dataOf, expectReconciled, stockOf } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

type Headers = Record<string, string>;

const reserve = (buyer: Api, productId: string, quantity = 1, headers: Headers = {}): Promise<Reply> =>
  buyer.post('/api/reservations', { product_id: productId, quantity }, headers);
const order = (buyer: Api, productId: string, quantity = 1, headers: Headers = {}): Promise<Reply> =>
  buyer.post('/api/orders', { items: [{ product_id: productId, quantity }] }, headers);
const withKey = (key: string): Headers => ({ 'Idempotency-Key': key });

/** `201`, or the status and the code of a failure. */
const answers = (replies: readonly Reply[]): string[] =>
  replies.map(({ status, body }) => (status === 201 ? '201' : `${status} ${body.code}`));
const shortagesOf = (reply: Reply | undefined): unknown => reply?.body.shortages;

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterEach(() => expectReconciled(test));
afterAll(() => test.close());

/** What the audit log and the ledger say of one request, without what does not concern who did it. */
async function tracesOf(requestId: string): Promise<{ audit: object[]; movements: object[] }> {
  const audit = await test.database.query<object>(
    'SELECT actor, action, object_id, new_value FROM audit_logs WHERE request_id = $1 ORDER BY created_at, id',
    [requestId],
  );
  const movements = await test.database.query<object>(
    `SELECT actor, kind, product_id, available_delta, reserved_delta, reservation_id, order_id
     FROM stock_movements WHERE request_id = $1 ORDER BY created_at, id`,
    [requestId],
  );
  return { audit, movements };
}

describe('The answers of one batch', () => {
  it('are each the own one of its request, whatever becomes of the others', async () => {
    const [product, inactive, shut] = [await aProduct(test), await aProduct(test), await aWarehouse(test)];
    dataOf(await test.admin.patch(`/api/products/${inactive.id}`, { is_active: false }));
    dataOf(await test.admin.patch(`/api/warehouses/${shut.id}`, { is_active: false }));
    const [ada, bob, key, old] = [test.aUser(), test.aUser(), randomUUID(), randomUUID()];
    const first = await reserve(ada, product.id, 1, withKey(old));
    const from = (warehouse: string): Promise<Reply> =>
      bob.post('/api/reservations', { product_id: product.id, quantity: 1, warehouse_id: warehouse });
    const unknown = randomUUID();
    const { replies, written } = await inOneBatch(test, [
      () => reserve(bob, product.id),
      () => reserve(bob, product.id, 10, withKey(randomUUID())),
      () => reserve(bob, unknown, 1, withKey(randomUUID())),
      () => reserve(bob, inactive.id),
      () => from(unknown),
      () => from(shut.id),
      () => reserve(ada, product.id, 2, withKey(key)),
      () => reserve(ada, product.id, 2, withKey(key)),
      () => reserve(ada, product.id, 1, withKey(key)),
      () => reserve(ada, product.id, 1, withKey(old)),
      () => reserve(ada, product.id, 2, withKey(old)),
      () => reserve(bob, product.id, 1, withKey(key)),
      () => reserve(bob, product.id, 9, withKey(randomUUID())),
    ]);
    expect(answers(replies)).toEqual([
      ...['201', '409 insufficient_stock', '404 not_found', '404 not_found', '404 not_found', '400 validation_failed'],
      ...['201', '201', '422 idempotency_key_reused', '201', '422 idempotency_key_reused', '201'],
      '409 insufficient_stock',
    ]);
    expect(replies.map(({ headers }) => headers['idempotent-replayed'])).toEqual(
      replies.map((_, index) => ([7, 9].includes(index) ? 'true' : undefined)),
    );
    expect(replies[7]!.body.data).toEqual(replies[6]!.body.data);
    expect(replies[7]!.headers['location']).toBe(replies[6]!.headers['location']);
    expect(replies[9]!.body.data).toEqual(first.body.data);
    expect(shortagesOf(replies[1])).toEqual([{ product_id: product.id, requested: 10, available: 9 }]);
    expect(shortagesOf(replies[12])).toEqual([{ product_id: product.id, requested: 9, available: 5 }]);
    expect(replies[2]!.body.detail).toContain(`product ${unknown}`);
    expect(replies[4]!.body.detail).toContain(`warehouse ${unknown}`);
    expect(replies[5]!.body.errors).toEqual([expect.objectContaining({ field: 'warehouse_id' })]);
    expect(new Set(replies.map(({ body }) => body.request_id)).size).toBe(replies.length);
    // Those of a key are one, and what was refused or replayed has left nothing.
    expect(written).toEqual({
      ...{ reservations: 3, reservation_items: 3, stock_movements: 3, audit_logs: 3, idempotency_keys: 2 },
    });
    expect(await stockOf(test, product.id)).toEqual({ available: 5, reserved: 5, total: 10 });
  });

  it('are kept under their keys: who repeats one later gets it again', async () => {
    const [product, users] = [await aProduct(test), [test.aUser(), test.aUser(), test.aUser()]];
    const key = randomUUID();
    const { replies } = await inOneBatch(
      test,
      users.map((user, index) => () => (index === 1 ? order : reserve)(user, product.id, index + 1, withKey(key))),
    );
    for (const [index, user] of users.entries()) {
      const again = await (index === 1 ? order : reserve)(user, product.id, index + 1, withKey(key));
      expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, 'true']);
      expect(again.body.data).toEqual(replies[index]!.body.data);
      expect(again.headers['etag']).toBe(replies[index]!.headers['etag']);
    }
    expect(await stockOf(test, product.id)).toEqual({ available: 4, reserved: 6, total: 10 });
  });

  it('keep a key for whoever had success with it, though another body was refused under it', async () => {
    const [product, user, key] = [await aProduct(test, { initial_stock: 3 }), test.aUser(), randomUUID()];
    const { replies } = await inOneBatch(test, [
      () => reserve(test.aUser(), product.id),
      () => reserve(user, product.id, 3, withKey(key)),
      () => reserve(user, product.id, 1, withKey(key)),
    ]);
    expect(answers(replies)).toEqual(['201', '409 insufficient_stock', '201']);
    const again = await reserve(user, product.id, 1, withKey(key));
    expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, 'true']);
    expect(again.body.data).toEqual(replies[2]!.body.data);
    expect(await stockOf(test, product.id)).toEqual({ available: 1, reserved: 2, total: 3 });
  });
});

describe('What one batch writes', () => {
  it('bears the request and the actor of each, and the ledger tells what was left after each', async () => {
    const [product, other] = [await aProduct(test, { initial_stock: 50 }), await aProduct(test)];
    const buyers = [1, 2, 3, 4, 5].map((quantity) => ({ user: test.aUser(), id: randomUUID(), quantity }));
    const { replies } = await inOneBatch(
      test,
      buyers.map(({ user, id, quantity }) => () => {
        const items = [product, other].map((one) => ({ product_id: one.id, quantity: one === product ? quantity : 1 }));
        return user.post('/api/reservations', { items }, { 'X-Request-Id': id });
      }),
    );
    for (const [index, { user, id, quantity }] of buyers.entries()) {
      const { body, headers } = replies[index]!;
      const actor = `user:${user.userId}`;
      expect([body.request_id, headers['x-request-id']]).toEqual([id, id]);
      expect(body.data).toMatchObject({ user_id: user.userId, status: 'active', order_id: null });
      const movement = { actor, kind: 'reserve', reservation_id: body.data.id, order_id: null };
      const { audit, movements } = await tracesOf(id);
      expect(audit).toEqual([{ actor, action: 'reservation.created', object_id: body.data.id, new_value: body.data }]);
      expect(movements).toHaveLength(2);
      expect(movements).toEqual(
        expect.arrayContaining([
          { ...movement, product_id: product.id, available_delta: -quantity, reserved_delta: quantity },
          { ...movement, product_id: other.id, available_delta: -1, reserved_delta: 1 },
        ]),
      );
    }
    const ledger = await test.database.query(
      `SELECT available_after AS available, reserved_after AS reserved FROM stock_movements
       WHERE product_id = $1 AND kind = 'reserve' ORDER BY created_at, id`,
      [product.id],
    );
    expect(ledger).toEqual([49, 47, 44, 40, 35].map((available) => ({ available, reserved: 50 - available })));
    expect(await stockOf(test, product.id)).toEqual({ available: 35, reserved: 15, total: 50 });
  });

  it('is an order for each that asked for one, next to mere reservations', async () => {
    const product = await aProduct(test, { initial_stock: 21 });
    const buyers = [1, 2, 3, 4, 5, 6].map((quantity) => ({ user: test.aUser(), id: randomUUID(), quantity }));
    const { replies, written } = await inOneBatch(
      test,
      buyers.map(
        ({ user, id, quantity }, index) =>
          () =>
            (index % 2 ? order : reserve)(user, product.id, quantity, { 'X-Request-Id': id }),
      ),
    );
    expect(answers(replies)).toEqual(replies.map(() => '201'));
    expect(written).toEqual({
      ...{ orders: 3, order_items: 3, reservations: 6, reservation_items: 6, stock_movements: 6, audit_logs: 9 },
    });
    for (const [index, { user, id, quantity }] of buyers.entries()) {
      const { data } = replies[index]!.body;
      const isOrder = index % 2 === 1;
      const [reservationId, orderId] = isOrder ? [data.reservation_id, data.id] : [data.id, null];
      const actor = `user:${user.userId}`;
      expect(replies[index]!.headers['location']).toBe(`/api/${isOrder ? 'orders' : 'reservations'}/${data.id}`);
      expect(dataOf(await user.get(`/api/reservations/${reservationId}`))).toMatchObject({
        ...{ user_id: user.userId, order_id: orderId, items: [{ product_id: product.id, quantity }] },
      });
      const { audit, movements } = await tracesOf(id);
      const created = { actor, action: 'reservation.created', object_id: reservationId, new_value: expect.anything() };
      const ordered = { ...created, action: 'order.created', object_id: orderId };
      expect(audit).toHaveLength(isOrder ? 2 : 1);
      expect(audit).toEqual(expect.arrayContaining(isOrder ? [created, ordered] : [created]));
      expect(movements).toMatchObject([{ actor, reservation_id: reservationId, order_id: orderId }]);
      if (isOrder) {
        expect(dataOf(await user.get(`/api/orders/${orderId}`))).toEqual(data);
        expect(data).toMatchObject({ status: 'pending', version: 1, items: [{ product_id: product.id, quantity }] });
        await bring(test, data.id, 'confirmed');
        expect(dataOf(await user.get(`/api/orders/${orderId}/history`))).toMatchObject([
          { from: 'pending', to: 'confirmed' },
        ]);
      }
    }
    expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 9, total: 9 });
  });
});
