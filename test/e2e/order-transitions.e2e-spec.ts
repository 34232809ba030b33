import { randomUUID } from 'node:crypto';
import { rowCounts } from '../support/database';
import {
  anOrder,
  aProduct,
  aWarehouse,
  bring,
  dataOf,
  expectReconciled,
  type Order,
  stockOf,
  stockUp,
} from '../support/factories';
import { storm } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const ALLOWED: Record<string, string[]> = {
  pending: ['confirmed', 'cancelled'],
  confirmed: ['processing', 'cancelled'],
  processing: ['shipped'],
  shipped: ['delivered'],
  delivered: [],
  cancelled: [],
};
const STATUSES = Object.keys(ALLOWED);
const WAY_TO: Record<string, string[]> = {
  pending: [],
  confirmed: ['confirmed'],
  processing: ['confirmed', 'processing'],
  shipped: ['confirmed', 'processing', 'shipped'],
  delivered: ['confirmed', 'processing', 'shipped', 'delivered'],
  cancelled: ['cancelled'],
};
const SOLD = { available: 7, reserved: 0, total: 7 };
const FREE = { available: 10, reserved: 0, total: 10 };
/** Each with what it leaves: the stock, the status of the reservation and the last row of the ledger. */
const ARROWS = [
  { from: 'pending', to: 'confirmed', stock: SOLD, reservation: 'committed', kind: 'commit' },
  { from: 'pending', to: 'cancelled', stock: FREE, reservation: 'cancelled', kind: 'release' },
  { from: 'confirmed', to: 'processing', stock: SOLD, reservation: 'committed', kind: 'commit' },
  { from: 'confirmed', to: 'cancelled', stock: FREE, reservation: 'committed', kind: 'restock' },
  { from: 'processing', to: 'shipped', stock: SOLD, reservation: 'committed', kind: 'commit' },
  { from: 'shipped', to: 'delivered', stock: SOLD, reservation: 'committed', kind: 'commit' },
];
const NO_ARROWS = STATUSES.flatMap((from) =>
  STATUSES.filter((to) => !ALLOWED[from]!.includes(to)).map((to) => ({ from, to })),
);
const done = (status: string): object => ({ status: 200, body: { data: { status } } });
const refused = (status: number, code: string, members: object = {}): object => ({
  status,
  body: { code, ...members },
});

describe('The transitions of orders', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterAll(() => test.close());

  const read = async (path: string) => dataOf(await test.admin.get(path));

  /** An order of 3 of 10 pieces, brought to a status. */
  async function anOrderThatIs(status: string, user = test.aUser()) {
    const { id: productId } = await aProduct(test);
    const { id } = await anOrder(user, productId, 3);
    await bring(test, id, ...WAY_TO[status]!);
    const order: Order = await read(`/api/orders/${id}`);
    return { order, productId, path: `/api/orders/${id}/status` };
  }

  /** Remembers how it all is, and gives the check that it is so still. */
  async function remember({ order, productId }: { order: Order; productId: string }): Promise<() => Promise<void>> {
    const all = async () =>
      Promise.all([rowCounts(test.database), stockOf(test, productId), read(`/api/orders/${order.id}`)]);
    const before = await all();
    return async () => expect(await all()).toEqual(before);
  }

  it.each(ARROWS)('go from $from to $to, and say so everywhere', async ({ from, to }) => {
    const { order, path } = await anOrderThatIs(from);
    const [request_id, reason, actor] = [randomUUID(), `because ${to}`, `user:${test.admin.userId}`];
    const reply = await test.admin.patch(path, { status: to, reason }, { 'X-Request-Id': request_id });
    expect(reply).toMatchObject({ status: 200, headers: { etag: `"${order.version + 1}"` } });
    const expected = {
      ...order,
      status: to,
      version: order.version + 1,
      allowed_transitions: ALLOWED[to],
      expires_at: null,
    };
    expect(reply.body.data).toEqual({ ...expected, updated_at: expect.any(String) });
    expect(await read(`/api/orders/${order.id}`)).toEqual(reply.body.data);

    const history = await read(`/api/orders/${order.id}/history`);
    expect(history.at(-1)).toEqual({ from, to, actor, reason, request_id, at: expect.any(String) });
    const audit = await read(`/api/audit-logs?object_id=${order.id}&request_id=${request_id}`);
    expect(audit).toMatchObject([{ action: 'order.status_changed', actor, object_type: 'order' }]);
    // What else it tells of a purchase that begins or ends is proven with the audit log.
    expect([audit[0].old_value, audit[0].new_value]).toMatchObject([{ status: from }, { status: to, reason }]);
  });

  it.each(ARROWS)('from $from to $to leave $stock and the reservation $reservation', async (arrow) => {
    const { order, productId, path } = await anOrderThatIs(arrow.from);
    dataOf(await test.admin.patch(path, { status: arrow.to }));
    expect(await stockOf(test, productId)).toEqual(arrow.stock);
    const reservation = await read(`/api/reservations/${order.reservation_id}`);
    expect(reservation).toMatchObject({ status: arrow.reservation, order_id: order.id });
    const [movement] = await read(`/api/products/${productId}/stock-movements?limit=1`);
    const { kind } = arrow;
    expect(movement).toMatchObject({ kind, order_id: order.id, reservation_id: order.reservation_id });
    await expectReconciled(test);
  });

  it.each(NO_ARROWS)('do not go from $from to $to, and then nothing has changed', async ({ from, to }) => {
    const made = await anOrderThatIs(from);
    const expectAsBefore = await remember(made);
    const reply = await test.admin.patch(made.path, { status: to });
    expect(reply).toMatchObject(refused(409, 'invalid_transition', { from, to, allowed: ALLOWED[from] }));
    await expectAsBefore();
  });

  it('are tested for all 36 pairs of statuses, above', () => {
    expect(ARROWS.length + NO_ARROWS.length).toBe(36);
  });

  it('take the pieces of a split order from their warehouses, and put them back there', async () => {
    const product = await aProduct(test);
    const second = await aWarehouse(test, { priority: 500 });
    await stockUp(test, product.id, 5, second.id);
    const order = await anOrder(test.admin, product.id, 12);
    const levels = async (): Promise<string> => {
      const rows: Record<string, number>[] = (await read(`/api/products/${product.id}`)).stock_levels;
      return rows.map((row) => `${row['available_stock']} + ${row['reserved_stock']}`).join(', ');
    };
    expect(await levels()).toBe('0 + 10, 3 + 2');
    await bring(test, order.id, 'confirmed');
    expect(await levels()).toBe('0 + 0, 3 + 0');
    await bring(test, order.id, 'cancelled');
    expect(await levels()).toBe('10 + 0, 5 + 0');
    await expectReconciled(test);
  });

  describe('by users', () => {
    it.each(['pending', 'confirmed'])('cancel what is theirs while it is %s', async (status) => {
      const user = test.aUser();
      const { productId, path } = await anOrderThatIs(status, user);
      expect(await user.patch(path, { status: 'cancelled' })).toMatchObject(done('cancelled'));
      expect(await stockOf(test, productId)).toEqual(FREE);
    });

    it('confirm what is theirs', async () => {
      const user = test.aUser();
      const { productId, path } = await anOrderThatIs('pending', user);
      expect(await user.patch(path, { status: 'confirmed' })).toMatchObject(done('confirmed'));
      expect(await stockOf(test, productId)).toEqual(SOLD);
    });

    it.each(['processing', 'shipped', 'delivered'])('never set %s, wherever the order is', async (to) => {
      const user = test.aUser();
      for (const from of STATUSES) {
        const made = await anOrderThatIs(from, user);
        const expectAsBefore = await remember(made);
        expect(await user.patch(made.path, { status: to })).toMatchObject(refused(403, 'forbidden'));
        await expectAsBefore();
      }
    });

    it.each(['pending', 'confirmed', 'cancelled'])('are as impossible to %s as by administrators', async (to) => {
      const user = test.aUser();
      const { path } = await anOrderThatIs('shipped', user);
      const members = { from: 'shipped', to, allowed: ['delivered'] };
      expect(await user.patch(path, { status: to })).toMatchObject(refused(409, 'invalid_transition', members));
    });

    it.each(STATUSES)('to %s do not tell whether an order of someone else exists', async (to) => {
      const made = await anOrderThatIs('pending');
      const expectAsBefore = await remember(made);
      for (const path of [made.path, `/api/orders/${randomUUID()}/status`]) {
        expect(await test.aUser().patch(path, { status: to })).toMatchObject(refused(404, 'not_found'));
      }
      await expectAsBefore();
    });

    it('need a token', async () => {
      const { path } = await anOrderThatIs('pending');
      const reply = await test.anonymous.patch(path, { status: 'confirmed' });
      expect(reply).toMatchObject(refused(401, 'unauthenticated'));
    });
  });

  describe('asked for with If-Match', () => {
    it.each(['"1"', '*', '"7", "1"', '"7","1"', ' "1" '])('happen when %s holds', async (ifMatch) => {
      const { path } = await anOrderThatIs('pending');
      const reply = await test.admin.patch(path, { status: 'confirmed' }, { 'If-Match': ifMatch });
      expect(reply).toMatchObject({ status: 200, headers: { etag: '"2"' }, body: { data: { version: 2 } } });
    });

    it('happen also when a proxy that compresses has made the tag weak', async () => {
      const { path } = await anOrderThatIs('pending');
      expect((await test.admin.patch(path, { status: 'confirmed' }, { 'If-Match': 'W/"1"' })).status).toBe(200);
    });

    it.each(['"1"', 'W/"1"', '"3"', '"1", "3"', '""', 'rubbish', '"02x"', '"-2"', '"2.0"'])(
      'do not happen when %s does not, and then nothing has changed',
      async (ifMatch) => {
        const made = await anOrderThatIs('confirmed');
        const expectAsBefore = await remember(made);
        const reply = await test.admin.patch(made.path, { status: 'processing' }, { 'If-Match': ifMatch });
        expect(reply).toMatchObject(refused(412, 'version_mismatch', { current_version: 2 }));
        await expectAsBefore();
      },
    );

    it('happen once, when several ask for the same version at once', async () => {
      const { order, productId, path } = await anOrderThatIs('pending');
      const targets = ['confirmed', 'cancelled', 'confirmed', 'cancelled', 'confirmed', 'cancelled'];
      const replies = await storm(targets.length, (index) =>
        test.admin.patch(path, { status: targets[index] }, { 'If-Match': '"1"' }),
      );
      expect(replies.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412, 412, 412]);
      const winner = replies.find(({ status }) => status === 200)!.body.data.status;
      expect(await read(`/api/orders/${order.id}/history`)).toMatchObject([{ from: 'pending', to: winner }]);
      expect(await stockOf(test, productId)).toEqual(winner === 'confirmed' ? SOLD : FREE);
      await expectReconciled(test);
    });
  });

  it.each([
    { name: 'an unknown status', body: { status: 'lost' }, field: 'status' },
    { name: 'another case', body: { status: 'Confirmed' }, field: 'status' },
    { name: 'no status', body: {}, field: 'status' },
    { name: 'an array', body: { status: ['confirmed'] }, field: 'status' },
    { name: 'an empty reason', body: { status: 'confirmed', reason: '' }, field: 'reason' },
    { name: 'a null reason', body: { status: 'confirmed', reason: null }, field: 'reason' },
    { name: 'a reason of 501 characters', body: { status: 'confirmed', reason: 'x'.repeat(501) }, field: 'reason' },
    { name: 'an unknown field', body: { status: 'confirmed', actor: 'system:me' }, field: 'actor' },
  ])('are refused when asked for with $name', async ({ body, field }) => {
    const made = await anOrderThatIs('pending');
    const expectAsBefore = await remember(made);
    const reply = await test.admin.patch(made.path, body);
    expect(reply).toMatchObject(refused(400, 'validation_failed'));
    expect(new Set(reply.body.errors.map((error: { field: string }) => error.field))).toEqual(new Set([field]));
    await expectAsBefore();
  });
});
