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
  stockUp,
} from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

const MAX_TTL = 3600;

describe('Reservations, later on', () => {
  let test: TestApp;
  let admin: Api;
  beforeAll(async () => {
    test = await startTestApp();
    admin = test.admin;
  });
  afterAll(() => test.close());

  const secondsBetween = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / 1000;

  /** Runs an attempt that must fail with this problem, and leave no row behind in any table. */
  async function expectRefused(attempt: () => Promise<Reply>, problem: object): Promise<void> {
    const before = await rowCounts(test.database);
    expect((await attempt()).body).toMatchObject(problem);
    expect(await rowCounts(test.database)).toEqual(before);
    await expectReconciled(test);
  }

  it('are found by their product and by how they ended, each once, from however many warehouses', async () => {
    const user = test.aUser();
    const warehouse = await aWarehouse(test, { priority: 1_000_000 });
    const { id: product_id } = await aProduct(test, { initial_stock: 25 });
    await stockUp(test, product_id, 10, warehouse.id);
    const make = (quantity: number): Promise<Reservation> => aReservation(user, product_id, { quantity });
    const [active, committed, cancelled] = [await make(10), await make(5), await make(5)];
    // This one has to come from both.
    const [expired, overdue] = [await make(12), await make(3)];
    dataOf(await user.post(`/api/reservations/${committed.id}/commit`));
    dataOf(await user.post(`/api/reservations/${cancelled.id}/cancel`));
    await letTimePass(test, expired.id);
    await test.sweep();
    await letTimePass(test, overdue.id);
    const expected = {
      active: [active.id],
      committed: [committed.id],
      cancelled: [cancelled.id],
      expired: [expired.id, overdue.id].sort().reverse(),
    };
    for (const caller of [user, admin]) {
      for (const [status, ids] of Object.entries(expected)) {
        const found = dataOf(await caller.get(`/api/reservations?product_id=${product_id}&status=${status}`));
        expect({ status, ids: found.map(({ id }: Reservation) => id) }).toEqual({ status, ids });
      }
    }
  });

  describe('when they are cancelled', () => {
    it('give the stock back where it came from, once', async () => {
      const user = test.aUser();
      const warehouse = await aWarehouse(test, { priority: 1_000_000 });
      const { id: product_id } = await aProduct(test);
      await stockUp(test, product_id, 5, warehouse.id);
      const { id } = await aReservation(user, product_id, { quantity: 12 });
      const reply = await user.post(`/api/reservations/${id}/cancel`);
      expect([reply.status, reply.body.data.status]).toEqual([200, 'cancelled']);
      const levels = dataOf(await admin.get(`/api/products/${product_id}`)).stock_levels;
      expect(levels).toMatchObject([
        { available_stock: 10, reserved_stock: 0 },
        { available_stock: 5, reserved_stock: 0 },
      ]);
      const movements = dataOf(await admin.get(`/api/products/${product_id}/stock-movements?limit=2`));
      expect(movements).toMatchObject([{ kind: 'release' }, { kind: 'release' }]);
      const problem = { status: 409, code: 'reservation_not_active', reservation_status: 'cancelled' };
      await expectRefused(() => user.post(`/api/reservations/${id}/cancel`), problem);
      await expectRefused(() => user.post(`/api/reservations/${id}/commit`), problem);
      await expectRefused(() => user.post(`/api/reservations/${id}/extend`, { ttl_seconds: 5 }), problem);
    });

    it('cannot be once they are committed', async () => {
      const user = test.aUser();
      const { id } = await aReservation(user, (await aProduct(test)).id);
      dataOf(await user.post(`/api/reservations/${id}/commit`));
      const problem = { status: 409, code: 'reservation_not_active', reservation_status: 'committed' };
      await expectRefused(() => user.post(`/api/reservations/${id}/cancel`), problem);
    });

    it('cancel the pending order that they belong to', async () => {
      const user = test.aUser();
      const { id: product_id } = await aProduct(test);
      const order = await anOrder(user, product_id, 4);
      const reply = await admin.post(`/api/reservations/${order.reservation_id}/cancel`);
      expect(dataOf(reply)).toMatchObject({ status: 'cancelled', order_id: order.id });
      expect(dataOf(await user.get(`/api/orders/${order.id}`))).toMatchObject({
        status: 'cancelled',
        version: order.version + 1,
        allowed_transitions: [],
      });
      const history = dataOf(await user.get(`/api/orders/${order.id}/history`));
      expect(history).toMatchObject([
        { from: 'pending', to: 'cancelled', actor: `user:${admin.userId}`, request_id: reply.body.request_id },
      ]);
      expect(await stockOf(test, product_id)).toEqual({ available: 10, reserved: 0, total: 10 });
      await expectReconciled(test);
    });
  });

  describe('when they are extended', () => {
    it('end so many seconds from now, sooner or later than before', async () => {
      const user = test.aUser();
      const reservation = await aReservation(user, (await aProduct(test)).id);
      for (const ttl_seconds of [1200, 30]) {
        const reply = await user.post(`/api/reservations/${reservation.id}/extend`, { ttl_seconds });
        const { updated_at, expires_at } = reply.body.data;
        expect([reply.status, secondsBetween(updated_at, expires_at)]).toEqual([200, ttl_seconds]);
      }
      const rows = dataOf(await admin.get(`/api/audit-logs?object_id=${reservation.id}&action=reservation.extended`));
      expect(rows).toHaveLength(2);
      expect(rows[1].old_value).toEqual({ expires_at: reservation.expires_at });
      expect(rows[1].new_value).toMatchObject(rows[0].old_value);
    });

    it('never outlive the configured lifetime in all', async () => {
      const user = test.aUser();
      const { id } = await aReservation(user, (await aProduct(test)).id);
      await test.database.query(
        `UPDATE reservations SET created_at = created_at - interval '50 minutes' WHERE id = $1`,
        [id],
      );
      const { created_at, expires_at } = dataOf(
        await user.post(`/api/reservations/${id}/extend`, { ttl_seconds: 1800 }),
      );
      expect(secondsBetween(created_at, expires_at)).toBe(MAX_TTL);
    });

    it.each([0, 1.5, '10', null, MAX_TTL + 1, undefined])('refuse a ttl_seconds of %p', async (ttl_seconds) => {
      const user = test.aUser();
      const { id } = await aReservation(user, (await aProduct(test)).id);
      const attempt = () => user.post(`/api/reservations/${id}/extend`, { ttl_seconds });
      await expectRefused(attempt, { status: 400, errors: [expect.objectContaining({ field: 'ttl_seconds' })] });
    });
  });
});
