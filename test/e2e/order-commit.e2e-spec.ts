import { randomUUID } from 'node:crypto';
import { rowCounts } from '../support/database';
import { anOrder, aProduct, aReservation, dataOf, expectReconciled, letTimePass, stockOf } from '../support/factories';
import { storm, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

describe('A reservation', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterAll(() => test.close());

  const commitPath = (reservationId: string): string => `/api/reservations/${reservationId}/commit`;
  const auditOf = async (requestId: string): Promise<[string, string, string][]> => {
    const rows = dataOf(await test.admin.get(`/api/audit-logs?request_id=${requestId}`));
    return rows.map((row: { actor: string; action: string; object_id: string }) => [
      row.actor,
      row.action,
      row.object_id,
    ]);
  };

  const notActive = (reservation_status: string): object => ({
    status: 409,
    body: { code: 'reservation_not_active', reservation_status },
  });

  describe('that an order is made of', () => {
    it('stays active and belongs to the order, which is pending', async () => {
      const user = test.aUser();
      const product = await aProduct(test);
      const reservation = await aReservation(user, product.id, { quantity: 3 });
      const reply = await user.post('/api/orders', { reservation_id: reservation.id });
      expect(reply.status).toBe(201);
      expect(reply.headers['etag']).toBe('"1"');
      const { warehouse_id } = reservation.items[0]!;
      expect(reply.body.data).toEqual({
        ...{ id: expect.any(String), user_id: user.userId, status: 'pending', total_amount: '59.70', currency: 'EUR' },
        items: [
          {
            product_id: product.id,
            sku: product.sku,
            name: 'Blue mug',
            warehouse_id,
            quantity: 3,
            unit_price: '19.90',
            line_total: '59.70',
          },
        ],
        ...{ reservation_id: reservation.id, allowed_transitions: ['confirmed', 'cancelled'], version: 1 },
        expires_at: reservation.expires_at,
        ...{ created_at: expect.stringMatching(/\.\d{3}Z$/), updated_at: expect.stringMatching(/\.\d{3}Z$/) },
      });
      const now = dataOf(await user.get(`/api/reservations/${reservation.id}`));
      expect(now).toMatchObject({ status: 'active', order_id: reply.body.data.id, expires_at: reservation.expires_at });
      expect(await stockOf(test, product.id)).toEqual({ available: 7, reserved: 3, total: 10 });
      expect(dataOf(await user.get(`/api/orders/${reply.body.data.id}/history`))).toEqual([]);
    });

    it('has one order: a second is a duplicate', async () => {
      const user = test.aUser();
      const reservation = await aReservation(user, (await aProduct(test)).id);
      dataOf(await user.post('/api/orders', { reservation_id: reservation.id }));
      const rows = await rowCounts(test.database);
      const second = await user.post('/api/orders', { reservation_id: reservation.id });
      expect(second).toMatchObject({ status: 409, body: { code: 'duplicate', field: 'reservation_id' } });
      expect(await rowCounts(test.database)).toEqual(rows);
    });

    it('has one order, however many are asked for at once', async () => {
      const user = test.aUser();
      const reservation = await aReservation(user, (await aProduct(test)).id);
      const replies = await storm(8, () => user.post('/api/orders', { reservation_id: reservation.id }));
      expect(replies.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409, 409, 409]);
      expect(replies.filter(({ status }) => status === 409).every(({ body }) => body.code === 'duplicate')).toBe(true);
      expect(dataOf(await user.get('/api/orders'))).toHaveLength(1);
      await expectReconciled(test);
    });

    it('does not exist for anybody but its owner and administrators', async () => {
      const reservation = await aReservation(test.aUser(), (await aProduct(test)).id);
      const rows = await rowCounts(test.database);
      for (const id of [reservation.id, randomUUID()]) {
        const reply = await test.aUser().post('/api/orders', { reservation_id: id });
        expect(reply).toMatchObject({ status: 404, body: { code: 'not_found' } });
      }
      expect(await rowCounts(test.database)).toEqual(rows);
    });

    it('gives its owner to the order, also when an administrator makes it', async () => {
      const user = test.aUser();
      const reservation = await aReservation(user, (await aProduct(test)).id);
      const order = dataOf(await test.admin.post('/api/orders', { reservation_id: reservation.id.toUpperCase() }));
      expect(order).toMatchObject({ user_id: user.userId, reservation_id: reservation.id });
      expect((await user.get(`/api/orders/${order.id}`)).status).toBe(200);
    });

    it.each(['committed', 'cancelled', 'expired', 'overdue'])(
      'must be active: one that is %s is refused',
      async (state) => {
        const user = test.aUser();
        const { id } = await aReservation(user, (await aProduct(test)).id);
        const ends: Record<string, () => Promise<unknown>> = {
          committed: () => user.post(`/api/reservations/${id}/commit`),
          cancelled: () => user.post(`/api/reservations/${id}/cancel`),
          expired: () => letTimePass(test, id).then(() => test.sweep()),
          overdue: () => letTimePass(test, id),
        };
        await ends[state]!();
        const rows = await rowCounts(test.database);
        const reply = await user.post('/api/orders', { reservation_id: id });
        expect(reply).toMatchObject(notActive(state === 'overdue' ? 'expired' : state));
        expect(await rowCounts(test.database)).toEqual(rows);
      },
    );

    it('takes the pending order with it when it is cancelled', async () => {
      const user = test.aUser();
      const product = await aProduct(test);
      const order = await anOrder(user, product.id, 3);
      dataOf(await user.post(`/api/reservations/${order.reservation_id}/cancel`));
      expect(dataOf(await user.get(`/api/orders/${order.id}`))).toMatchObject({ status: 'cancelled', version: 2 });
      expect(dataOf(await user.get(`/api/orders/${order.id}/history`))).toMatchObject([
        { to: 'cancelled', actor: `user:${user.userId}` },
      ]);
      expect(await stockOf(test, product.id)).toEqual({ available: 10, reserved: 0, total: 10 });
      await expectReconciled(test);
    });
  });

  describe('that is committed', () => {
    it('becomes a confirmed order, and the stock is deducted', async () => {
      const user = test.aUser();
      const product = await aProduct(test);
      const reservation = await aReservation(user, product.id, { quantity: 3 });
      const reply = await user.post(commitPath(reservation.id));
      expect(reply.status).toBe(201);
      expect(reply.headers['etag']).toBe('"2"');
      expect(reply.body.data).toMatchObject({
        ...{
          user_id: user.userId,
          status: 'confirmed',
          reservation_id: reservation.id,
          total_amount: '59.70',
          version: 2,
        },
        allowed_transitions: ['processing', 'cancelled'],
        items: [{ product_id: product.id, sku: product.sku, quantity: 3, unit_price: '19.90', line_total: '59.70' }],
      });
      expect(dataOf(await user.get(`/api/orders/${reply.body.data.id}`))).toEqual(reply.body.data);
      expect(dataOf(await user.get(`/api/reservations/${reservation.id}`))).toMatchObject({
        status: 'committed',
        order_id: reply.body.data.id,
      });
      expect(await stockOf(test, product.id)).toEqual({ available: 7, reserved: 0, total: 7 });
      await expectReconciled(test);
    });

    it('leaves history, ledger and audit under the id of the request', async () => {
      const user = test.aUser();
      const actor = `user:${user.userId}`;
      const product = await aProduct(test);
      const reservation = await aReservation(user, product.id, { quantity: 3 });
      const requestId = randomUUID();
      const order = dataOf(await user.post(commitPath(reservation.id), undefined, { 'X-Request-Id': requestId }));
      expect(dataOf(await user.get(`/api/orders/${order.id}/history`))).toEqual([
        { from: 'pending', to: 'confirmed', actor, reason: null, request_id: requestId, at: expect.any(String) },
      ]);
      const [movement] = dataOf(await test.admin.get(`/api/products/${product.id}/stock-movements?limit=1`));
      expect(movement).toMatchObject({
        ...{ kind: 'commit', available_delta: 0, reserved_delta: -3, available_after: 7, reserved_after: 0 },
        ...{ reservation_id: reservation.id, order_id: order.id, actor, request_id: requestId },
      });
      expect(await auditOf(requestId)).toEqual([
        [actor, 'order.status_changed', order.id],
        [actor, 'reservation.committed', reservation.id],
        [actor, 'order.created', order.id],
      ]);
    });

    it('confirms the pending order that it belongs to', async () => {
      const user = test.aUser();
      const product = await aProduct(test);
      const reservation = await aReservation(user, product.id, { quantity: 3 });
      const pending = dataOf(await user.post('/api/orders', { reservation_id: reservation.id }));
      const requestId = randomUUID();
      const reply = await user.post(commitPath(reservation.id), undefined, { 'X-Request-Id': requestId });
      expect(reply).toMatchObject({
        status: 201,
        body: { data: { id: pending.id, status: 'confirmed', version: 2, total_amount: '59.70' } },
      });
      expect(dataOf(await user.get('/api/orders'))).toHaveLength(1);
      expect(await stockOf(test, product.id)).toEqual({ available: 7, reserved: 0, total: 7 });
      expect((await auditOf(requestId)).map(([, action]) => action)).toEqual([
        'order.status_changed',
        'reservation.committed',
      ]);
      await expectReconciled(test);
    });

    it('is refused a second time, and changes nothing then', async () => {
      const user = test.aUser();
      const product = await aProduct(test);
      const reservation = await aReservation(user, product.id);
      dataOf(await user.post(commitPath(reservation.id)));
      const rows = await rowCounts(test.database);
      const second = await user.post(commitPath(reservation.id));
      expect(second).toMatchObject(notActive('committed'));
      expect(await rowCounts(test.database)).toEqual(rows);
      expect(await stockOf(test, product.id)).toEqual({ available: 9, reserved: 0, total: 9 });
    });

    it('is refused when the reservation was cancelled', async () => {
      const user = test.aUser();
      const reservation = await aReservation(user, (await aProduct(test)).id);
      dataOf(await user.post(`/api/reservations/${reservation.id}/cancel`));
      const reply = await user.post(commitPath(reservation.id));
      expect(reply).toMatchObject(notActive('cancelled'));
    });

    it.each(['before', 'after'])('is refused when its time is over, %s the sweep has seen it', async (when) => {
      const user = test.aUser();
      const product = await aProduct(test);
      const reservation = await aReservation(user, product.id);
      await letTimePass(test, reservation.id);
      if (when === 'after') {
        await test.sweep();
      }
      const rows = await rowCounts(test.database);
      const reply = await user.post(commitPath(reservation.id));
      expect(reply).toMatchObject(notActive('expired'));
      expect(await rowCounts(test.database)).toEqual(rows);
      expect(await stockOf(test, product.id)).toEqual({ available: 10, reserved: 0, total: 10 });
    });

    it('is for its owner and administrators: to others the reservation does not exist', async () => {
      const user = test.aUser();
      const reservation = await aReservation(user, (await aProduct(test)).id);
      const rows = await rowCounts(test.database);
      expect(await test.aUser().post(commitPath(reservation.id))).toMatchObject({
        status: 404,
        body: { code: 'not_found' },
      });
      expect(await user.post(commitPath(randomUUID()))).toMatchObject({ status: 404, body: { code: 'not_found' } });
      expect(await test.anonymous.post(commitPath(reservation.id))).toMatchObject({
        status: 401,
        body: { code: 'unauthenticated' },
      });
      expect(await rowCounts(test.database)).toEqual(rows);
      expect(await test.admin.post(commitPath(reservation.id))).toMatchObject({
        status: 201,
        body: { data: { user_id: user.userId } },
      });
    });

    it('happens once, however often it is asked for at once', async () => {
      const user = test.aUser();
      const product = await aProduct(test);
      const reservation = await aReservation(user, product.id, { quantity: 2 });
      const replies = await storm(8, () => user.post(commitPath(reservation.id)));
      expect(replies.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409, 409, 409]);
      expect(dataOf(await user.get('/api/orders'))).toHaveLength(1);
      expect(await stockOf(test, product.id)).toEqual({ available: 8, reserved: 0, total: 8 });
      await expectReconciled(test);
    });

    it('comes too late when the time ends while it waits for the lock', async () => {
      const user = test.aUser();
      const product = await aProduct(test);
      const reservation = await aReservation(user, product.id);
      // The hold ends after the request has come, by a moment that only a look at the clock after the wait can see.
      const end = `UPDATE reservations SET expires_at = clock_timestamp() - interval '1 millisecond' WHERE id = $1`;
      const reply = await whileLocked(
        test.database,
        {
          sql: 'SELECT FROM reservations WHERE id = $1 FOR UPDATE',
          values: [reservation.id],
          meanwhile: { sql: end, values: [reservation.id] },
        },
        () => user.post(commitPath(reservation.id)),
      );
      expect(reply).toMatchObject(notActive('expired'));
      expect(dataOf(await user.get('/api/orders'))).toEqual([]);
      await test.sweep();
      await expectReconciled(test);
    });
  });
});
