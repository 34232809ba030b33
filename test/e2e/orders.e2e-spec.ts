import { randomUUID } from 'node:crypto';
import { rowCounts } from '../support/database';
import {
  anOrder,
  aProduct,
  aReservation,
  aWarehouse,
  bring,
  dataOf,
  expectReconciled,
  stockOf,
  stockUp,
} from '../support/factories';
import { storm } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const HELD = { available: 7, reserved: 3, total: 10 };

describe('Orders', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterAll(() => test.close());

  describe('made from items', () => {
    it('reserve them in the same transaction', async () => {
      const user = test.aUser();
      const [mug, cup] = [await aProduct(test), await aProduct(test, { price: '0.10' })];
      const items = [
        { product_id: mug.id, quantity: 3 },
        { product_id: cup.id, quantity: 3 },
      ];
      const order = dataOf(await user.post('/api/orders', { items }));
      expect(order).toMatchObject({ status: 'pending', total_amount: '60.00' });
      const lines = order.items.map((item: { product_id: string; line_total: string }) => [
        item.product_id,
        item.line_total,
      ]);
      expect(new Map(lines)).toEqual(
        new Map([
          [mug.id, '59.70'],
          [cup.id, '0.30'],
        ]),
      );
      const reservation = dataOf(await user.get(`/api/reservations/${order.reservation_id}`));
      expect(reservation).toMatchObject({
        status: 'active',
        order_id: order.id,
        user_id: user.userId,
        total_amount: '60.00',
      });
      expect([await stockOf(test, mug.id), await stockOf(test, cup.id)]).toEqual([HELD, HELD]);
    });

    it('add up the lines of one product', async () => {
      const product = await aProduct(test);
      const both = (first: number, second: number) => ({
        items: [first, second].map((quantity) => ({ product_id: product.id, quantity })),
      });
      const short = await test.aUser().post('/api/orders', both(6, 5));
      expect(short).toMatchObject({
        status: 409,
        body: { shortages: [{ product_id: product.id, requested: 11, available: 10 }] },
      });
      expect(dataOf(await test.aUser().post('/api/orders', both(6, 4)))).toMatchObject({
        total_amount: '199.00',
        items: [{ quantity: 10 }],
      });
    });

    it('are all or nothing, and name every short line', async () => {
      const [plenty, scarce, none] = [
        await aProduct(test),
        await aProduct(test, { initial_stock: 1 }),
        await aProduct(test, { initial_stock: 0 }),
      ];
      const rows = await rowCounts(test.database);
      const items = [plenty, scarce, none].map(({ id }) => ({ product_id: id, quantity: 2 }));
      const reply = await test.aUser().post('/api/orders', { items });
      expect(reply).toMatchObject({ status: 409, body: { code: 'insufficient_stock' } });
      expect(new Map(reply.body.shortages.map((short: { product_id: string }) => [short.product_id, short]))).toEqual(
        new Map([
          [scarce.id, { product_id: scarce.id, requested: 2, available: 1 }],
          [none.id, { product_id: none.id, requested: 2, available: 0 }],
        ]),
      );
      expect(await rowCounts(test.database)).toEqual(rows);
      expect(await stockOf(test, plenty.id)).toEqual({ available: 10, reserved: 0, total: 10 });
    });

    it('are not made with a product that is unknown or not active', async () => {
      const [product, retired] = [await aProduct(test), await aProduct(test)];
      dataOf(await test.admin.patch(`/api/products/${retired.id}`, { is_active: false }));
      const rows = await rowCounts(test.database);
      for (const id of [retired.id, randomUUID()]) {
        const items = [
          { product_id: product.id, quantity: 1 },
          { product_id: id, quantity: 1 },
        ];
        expect(await test.aUser().post('/api/orders', { items })).toMatchObject({
          status: 404,
          body: { code: 'not_found' },
        });
      }
      expect(await rowCounts(test.database)).toEqual(rows);
    });

    it('come from the warehouse that a line names', async () => {
      const product = await aProduct(test);
      const warehouse = await aWarehouse(test);
      await stockUp(test, product.id, 2, warehouse.id);
      const of = (quantity: number) => ({ items: [{ product_id: product.id, quantity, warehouse_id: warehouse.id }] });
      const short = await test.aUser().post('/api/orders', of(3));
      expect(short).toMatchObject({
        status: 409,
        body: { shortages: [{ product_id: product.id, warehouse_id: warehouse.id, requested: 3, available: 2 }] },
      });
      expect(dataOf(await test.aUser().post('/api/orders', of(2)))).toMatchObject({
        items: [{ warehouse_id: warehouse.id, quantity: 2 }],
      });
    });

    it('never sell more than there is, however many come at once', async () => {
      const product = await aProduct(test, { initial_stock: 5 });
      const replies = await storm(12, () =>
        test.aUser().post('/api/orders', { items: [{ product_id: product.id, quantity: 1 }] }),
      );
      expect(replies.filter(({ status }) => status === 201)).toHaveLength(5);
      expect(replies.filter(({ status, body }) => status === 409 && body.code === 'insufficient_stock')).toHaveLength(
        7,
      );
      expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 5, total: 5 });
      await expectReconciled(test);
    });
  });

  describe('whose body is wrong', () => {
    const id = randomUUID();
    const line = { product_id: id, quantity: 1 };

    it.each([
      { name: 'neither', body: {}, fields: ['reservation_id'] },
      { name: 'both', body: { reservation_id: id, items: [line] }, fields: ['reservation_id'] },
      {
        name: 'a null reservation beside items',
        body: { reservation_id: null, items: [line] },
        fields: ['reservation_id'],
      },
      { name: 'null items', body: { items: null }, fields: ['items'] },
      { name: 'no items', body: { items: [] }, fields: ['items'] },
      { name: '101 items', body: { items: Array(101).fill(line) }, fields: ['items'] },
      { name: 'an id that is no UUID', body: { reservation_id: '17' }, fields: ['reservation_id'] },
      {
        name: 'quantities that are none',
        body: { items: [0, 1.5, '1', 1_000_001].map((quantity) => ({ product_id: id, quantity })) },
        fields: ['items.0.quantity', 'items.1.quantity', 'items.2.quantity', 'items.3.quantity'],
      },
      {
        name: 'an unknown field',
        body: { items: [{ ...line, unit_price: '0.01' }], status: 'confirmed' },
        fields: ['items.0.unit_price', 'status'],
      },
    ])('are refused with $name, and every broken field is named', async ({ body, fields }) => {
      const rows = await rowCounts(test.database);
      const reply = await test.aUser().post('/api/orders', body);
      expect(reply).toMatchObject({ status: 400, body: { code: 'validation_failed' } });
      const named = new Set(reply.body.errors.map((error: { field: string }) => error.field));
      expect([...named].sort()).toEqual(fields.sort());
      expect(await rowCounts(test.database)).toEqual(rows);
    });
  });

  describe('remember', () => {
    it('sku, name and price as they were', async () => {
      const user = test.aUser();
      const product = await aProduct(test);
      const reservation = await aReservation(user, product.id, { quantity: 3 });
      dataOf(await test.admin.patch(`/api/products/${product.id}`, { price: '25.00' }));
      const order = dataOf(await user.post('/api/orders', { reservation_id: reservation.id }));
      expect(order).toMatchObject({ total_amount: '59.70', items: [{ unit_price: '19.90' }] });
      dataOf(
        await test.admin.patch(`/api/products/${product.id}`, { price: '30.00', name: 'Red mug', is_active: false }),
      );
      await bring(test, order.id, 'confirmed');
      const items = [
        expect.objectContaining({ sku: product.sku, name: 'Blue mug', unit_price: '19.90', line_total: '59.70' }),
      ];
      expect(dataOf(await user.get(`/api/orders/${order.id}`))).toMatchObject({ total_amount: '59.70', items });
    });

    it('money to the cent, however much it is', async () => {
      const user = test.aUser();
      const million = 1_000_000;
      const dear = await aProduct(test, { price: '999999999999.99', initial_stock: million });
      const odd = await aProduct(test, { price: '333333333333.33' });
      const items = [
        { product_id: dear.id, quantity: million },
        { product_id: odd.id, quantity: 7 },
      ];
      const order = dataOf(await user.post('/api/orders', { items }));
      expect(order.total_amount).toBe('1000002333333323333.31');
      expect(order.items.map((item: { line_total: string }) => item.line_total).sort()).toEqual([
        '2333333333333.31',
        '999999999999990000.00',
      ]);
      expect(dataOf(await user.get(`/api/orders/${order.id}`))).toEqual(order);
      expect(dataOf(await user.get('/api/orders'))).toEqual([order]);
    });
  });

  describe('read', () => {
    it('show themselves to their owner and to administrators, with their version in the ETag', async () => {
      const user = test.aUser();
      const { id } = await anOrder(user, (await aProduct(test)).id);
      for (const reader of [user, test.admin]) {
        expect(await reader.get(`/api/orders/${id}`)).toMatchObject({
          status: 200,
          headers: { etag: '"1"' },
          body: { data: { id, user_id: user.userId } },
        });
      }
      await bring(test, id, 'confirmed');
      expect((await user.get(`/api/orders/${id}`)).headers['etag']).toBe('"2"');
    });

    it.each(['', '/history'])('do not exist for anybody else (%s)', async (suffix) => {
      const { id } = await anOrder(test.aUser(), (await aProduct(test)).id);
      expect(await test.aUser().get(`/api/orders/${id}${suffix}`)).toMatchObject({
        status: 404,
        body: { code: 'not_found' },
      });
      expect(await test.admin.get(`/api/orders/${randomUUID()}${suffix}`)).toMatchObject({
        status: 404,
        body: { code: 'not_found' },
      });
      expect(await test.anonymous.get(`/api/orders/${id}${suffix}`)).toMatchObject({
        status: 401,
        body: { code: 'unauthenticated' },
      });
      expect(await test.admin.get(`/api/orders/17${suffix}`)).toMatchObject({
        status: 400,
        body: { errors: [{ field: 'id' }] },
      });
    });

    it('tell their history from the oldest step to the newest', async () => {
      const user = test.aUser();
      const { id } = await anOrder(user, (await aProduct(test)).id);
      dataOf(await user.patch(`/api/orders/${id}/status`, { status: 'confirmed' }));
      await bring(test, id, 'processing', 'shipped', 'delivered');
      const history = dataOf(await user.get(`/api/orders/${id}/history`));
      const [mine, theirs] = [`user:${user.userId}`, `user:${test.admin.userId}`];
      expect(
        history.map((step: { from: string; to: string; actor: string }) => [step.from, step.to, step.actor]),
      ).toEqual([
        ['pending', 'confirmed', mine],
        ['confirmed', 'processing', theirs],
        ['processing', 'shipped', theirs],
        ['shipped', 'delivered', theirs],
      ]);
      const times = history.map((step: { at: string }) => step.at);
      expect(times).toEqual([...times].sort());
      expect(new Set(history.map((step: { request_id: string }) => step.request_id)).size).toBe(4);
    });
  });
});
