import { nextBatchOf } from '../support/batches';
import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { rowCounts } from '../support/database';
import {
  anOrder,
  aProduct,
  aReservation,
  aWarehouse,
  dataOf,
  expectReconciled,
  letTimePass,
  type Reservation,
  stockOf,
} from '../support/factories';
import { storm, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';
const SYSTEM = 'system:reservation-expiry';
const EXPIRED = { status: 409, code: 'reservation_not_active', reservation_status: 'expired' };

/** No sweep runs in these tests: what is over is over without it. */
describe('A hold whose time is over', () => {
  let test: TestApp;
  let admin: Api;
  beforeAll(async () => {
    test = await startTestApp();
    admin = test.admin;
  });
  afterAll(() => test.close());

  async function anOverdue(user: Api, productId: string, quantity = 1): Promise<Reservation> {
    const reservation = await aReservation(user, productId, { quantity });
    await letTimePass(test, reservation.id);
    return reservation;
  }

  const reserve = (user: Api, productId: string, quantity: number, headers = {}): Promise<Reply> =>
    user.post('/api/reservations', { product_id: productId, quantity }, headers);

  /** What the table says, which the API does not show. */
  async function storedStatus(reservationId: string): Promise<string> {
    const [row] = await test.database.query<{ status: string }>('SELECT status FROM reservations WHERE id = $1', [
      reservationId,
    ]);
    return row!.status;
  }

  describe('counts as expired at once', () => {
    it('when it is read and when it is listed', async () => {
      const user = test.aUser();
      const { id: product_id } = await aProduct(test);
      const [over, active] = [await anOverdue(user, product_id), await aReservation(user, product_id)];
      expect(await storedStatus(over.id)).toBe('active');
      expect(dataOf(await user.get(`/api/reservations/${over.id}`)).status).toBe('expired');
      const listed = async (query: string): Promise<string[][]> =>
        dataOf(await user.get(`/api/reservations${query}`)).map(({ id, status }: Reservation) => [id, status]);
      expect(await listed('?status=expired')).toEqual([[over.id, 'expired']]);
      expect(await listed('?status=active')).toEqual([[active.id, 'active']]);
      expect(await listed('')).toEqual([
        [active.id, 'active'],
        [over.id, 'expired'],
      ]);
    });

    it.each([
      ['commit', undefined],
      ['cancel', undefined],
      ['extend', { ttl_seconds: 60 }],
    ])('when somebody wants to %s it, and nothing changes', async (action, body) => {
      const user = test.aUser();
      const { id } = await anOverdue(user, (await aProduct(test)).id);
      const before = await rowCounts(test.database);
      expect((await user.post(`/api/reservations/${id}/${action}`, body)).body).toMatchObject(EXPIRED);
      expect(await rowCounts(test.database)).toEqual(before);
    });

    it('when an order is to be made of it', async () => {
      const user = test.aUser();
      const { id: reservation_id } = await anOverdue(user, (await aProduct(test)).id);
      const before = await rowCounts(test.database);
      expect((await user.post('/api/orders', { reservation_id })).body).toMatchObject(EXPIRED);
      expect(await rowCounts(test.database)).toEqual(before);
    });

    it('when the stock is shown', async () => {
      const product = await aProduct(test);
      await aReservation(test.aUser(), product.id, { quantity: 2 });
      await anOverdue(test.aUser(), product.id, 8);
      expect(await stockOf(test, product.id)).toEqual({ available: 8, reserved: 2, total: 10 });
      expect(dataOf(await admin.get(`/api/products/${product.id}`)).stock_levels).toMatchObject([
        { available_stock: 8, reserved_stock: 2, total_stock: 10 },
      ]);
      const inStock = async (is: boolean) => dataOf(await admin.get(`/api/products?q=${product.sku}&in_stock=${is}`));
      expect(await inStock(true)).toMatchObject([{ id: product.id, available_stock: 8, reserved_stock: 2 }]);
      expect(await inStock(false)).toEqual([]);
    });
  });

  describe('gives way to a reservation that falls short', () => {
    it('of whomever, under the id of the request that caused it', async () => {
      const { id: product_id } = await aProduct(test);
      const [over, user, requestId] = [await anOverdue(test.aUser(), product_id, 9), test.aUser(), randomUUID()];
      const reply = await reserve(user, product_id, 4, { 'X-Request-Id': requestId, 'Idempotency-Key': randomUUID() });
      expect(reply.status).toBe(201);
      expect([await storedStatus(over.id), await stockOf(test, product_id)]).toEqual([
        'expired',
        { available: 6, reserved: 4, total: 10 },
      ]);
      const [made, expired] = dataOf(await admin.get(`/api/products/${product_id}/stock-movements`));
      const cause = { actor: SYSTEM, request_id: requestId };
      expect(expired).toMatchObject({
        ...cause,
        kind: 'expire',
        reservation_id: over.id,
        available_delta: 9,
        reserved_delta: -9,
      });
      expect(made).toMatchObject({
        kind: 'reserve',
        reservation_id: reply.body.data.id,
        actor: `user:${user.userId}`,
        request_id: requestId,
      });
      const rows = dataOf(await admin.get(`/api/audit-logs?request_id=${requestId}`));
      expect(rows).toMatchObject([
        { action: 'reservation.created', actor: `user:${user.userId}` },
        {
          ...cause,
          action: 'reservation.expired',
          object_id: over.id,
          old_value: { status: 'active' },
          new_value: { status: 'expired' },
        },
      ]);
      await expectReconciled(test);
    });

    it('also where an order reserves, and cancels the pending order that it belonged to', async () => {
      const { id: product_id } = await aProduct(test);
      const owner = test.aUser();
      const left = await anOrder(owner, product_id, 10);
      await letTimePass(test, left.reservation_id);
      const reply = await test.aUser().post('/api/orders', { items: [{ product_id, quantity: 10 }] });
      expect(reply.status).toBe(201);
      expect(dataOf(await owner.get(`/api/orders/${left.id}`)).status).toBe('cancelled');
      const history = dataOf(await owner.get(`/api/orders/${left.id}/history`));
      expect(history).toMatchObject([
        { from: 'pending', to: 'cancelled', actor: SYSTEM, request_id: reply.body.request_id },
      ]);
      await expectReconciled(test);
    });

    it('but an order that was confirmed in time keeps what it bought', async () => {
      const { id: product_id } = await aProduct(test);
      const owner = test.aUser();
      const bought = await anOrder(owner, product_id, 6);
      dataOf(await owner.patch(`/api/orders/${bought.id}/status`, { status: 'confirmed' }));
      await letTimePass(test, bought.reservation_id);
      const shortages = [{ product_id, requested: 5, available: 4 }];
      expect((await reserve(test.aUser(), product_id, 5)).body).toMatchObject({
        code: 'insufficient_stock',
        shortages,
      });
      expect(dataOf(await owner.get(`/api/orders/${bought.id}`)).status).toBe('confirmed');
    });

    it('while one that is not over is never touched, and the numbers told are those after it', async () => {
      const { id: product_id } = await aProduct(test);
      const [active, over] = [
        await aReservation(test.aUser(), product_id, { quantity: 5 }),
        await anOverdue(test.aUser(), product_id, 3),
      ];
      const shortages = [{ product_id, requested: 6, available: 5 }];
      expect((await reserve(test.aUser(), product_id, 6)).body).toMatchObject({
        status: 409,
        code: 'insufficient_stock',
        shortages,
      });
      expect([await storedStatus(active.id), await storedStatus(over.id)]).toEqual(['active', 'expired']);
      expect((await reserve(test.aUser(), product_id, 5)).status).toBe(201);
      await expectReconciled(test);
    });

    it('for every product that is short, and for no other', async () => {
      const [one, two, other] = [await aProduct(test), await aProduct(test), await aProduct(test)];
      const overdue = [
        await anOverdue(test.aUser(), one.id, 10),
        await anOverdue(test.aUser(), two.id, 10),
        await anOverdue(test.aUser(), other.id),
      ];
      const items = [one, two, other].map(({ id: product_id }) => ({ product_id, quantity: 2 }));
      expect((await test.aUser().post('/api/reservations', { items })).status).toBe(201);
      expect(await Promise.all(overdue.map(({ id }) => storedStatus(id)))).toEqual(['expired', 'expired', 'active']);
      await expectReconciled(test);
    });

    it('at once for ten who each want a part of it', async () => {
      const { id: product_id } = await aProduct(test);
      await anOverdue(test.aUser(), product_id, 10);
      const statuses = (await storm(10, () => reserve(test.aUser(), product_id, 1))).map(({ status }) => status);
      expect(statuses).toEqual(Array(10).fill(201));
      expect(await stockOf(test, product_id)).toEqual({ available: 0, reserved: 10, total: 10 });
      await expectReconciled(test);
    });

    it('also for the second of two who wait to reclaim it, each at a process of their own', async () => {
      const twin = await startTestApp({}, test.database);
      const { id: product_id } = await aProduct(test);
      const over = await anOverdue(test.aUser(), product_id, 10);
      const lock = {
        sql: 'SELECT FROM reservations WHERE id = $1 FOR UPDATE',
        values: [over.id],
        waiters: 0,
        meanwhile: await nextBatchOf([test, twin]),
      };
      const replies = await whileLocked(test.database, lock, () =>
        storm(2, (index) => reserve([test, twin][index]!.aUser(), product_id, 5)),
      );
      await twin.close();
      expect(replies.map(({ status }) => status)).toEqual([201, 201]);
      const kinds = dataOf(await admin.get(`/api/products/${product_id}/stock-movements`)).map(
        ({ kind }: { kind: string }) => kind,
      );
      expect(kinds.filter((kind: string) => kind === 'expire')).toHaveLength(1);
      await expectReconciled(test);
    });

    it('but not if it was extended while the reclaim waited for it', async () => {
      const { id: product_id } = await aProduct(test);
      const over = await anOverdue(test.aUser(), product_id, 10);
      const extension = `UPDATE reservations SET expires_at = clock_timestamp() + interval '1 hour' WHERE id = $1`;
      const lock = {
        sql: 'SELECT FROM reservations WHERE id = $1 FOR UPDATE',
        values: [over.id],
        waiters: 0,
        meanwhile: { sql: extension, values: [over.id] },
      };
      const reply = await whileLocked(test.database, lock, () => reserve(test.aUser(), product_id, 1));
      expect(reply.body).toMatchObject({
        status: 409,
        code: 'insufficient_stock',
        shortages: [{ product_id, requested: 1, available: 0 }],
      });
      expect(await storedStatus(over.id)).toBe('active');
      await expectReconciled(test);
    });
  });

  it('gives way to an adjustment and to a transfer that take what the product shows as available', async () => {
    const [{ id: adjusted }, { id: moved }, { id: to_warehouse_id }] = [
      await aProduct(test),
      await aProduct(test),
      await aWarehouse(test),
    ];
    await anOverdue(test.aUser(), adjusted, 10);
    await anOverdue(test.aUser(), moved, 10);
    const adjustment = { delta: -4, reason: 'broken' };
    expect(dataOf(await admin.post(`/api/products/${adjusted}/stock-adjustments`, adjustment))).toMatchObject({
      available_stock: 6,
      reserved_stock: 0,
    });
    const transfer = { product_id: moved, from_warehouse_id: MAIN, to_warehouse_id, quantity: 4 };
    expect(dataOf(await admin.post('/api/stock-transfers', transfer)).from).toMatchObject({
      available_stock: 6,
      reserved_stock: 0,
    });
    await expectReconciled(test);
  });
});
