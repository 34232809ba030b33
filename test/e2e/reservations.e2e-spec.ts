import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { rowCounts } from '../support/database';
import { aProduct, aReservation, dataOf, expectReconciled, stockOf } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';
const MAX_TTL = 3600;

describe('Reservations', () => {
  let test: TestApp;
  let admin: Api;
  beforeAll(async () => {
    test = await startTestApp();
    admin = test.admin;
  });
  afterAll(() => test.close());

  const reserve = (body: object, user = test.aUser()): Promise<Reply> => user.post('/api/reservations', body);
  const fieldsOf = (reply: Reply): string[] =>
    [...new Set<string>(reply.body.errors.map((error: { field: string }) => error.field))].sort();
  const secondsBetween = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / 1000;
  const idsOf = (reply: Reply): string[] => dataOf(reply).map(({ id }: { id: string }) => id);

  /** Runs an attempt that must fail with this problem, and leave no row behind in any table. */
  async function expectRefused(attempt: () => Promise<Reply>, problem: object): Promise<void> {
    const before = await rowCounts(test.database);
    expect((await attempt()).body).toMatchObject(problem);
    expect(await rowCounts(test.database)).toEqual(before);
    await expectReconciled(test);
  }

  describe('when they are made', () => {
    it('hold one product that the body spells out, at its price, for the default time', async () => {
      const user = test.aUser();
      const product = await aProduct(test);
      const reply = await reserve({ product_id: product.id.toUpperCase(), quantity: 3 }, user);
      const { id, created_at, expires_at } = reply.body.data;
      expect([reply.status, reply.headers['location']]).toEqual([201, `/api/reservations/${id}`]);
      expect(reply.body.data).toEqual({
        ...{ id, user_id: user.userId, status: 'active', total_amount: '59.70', currency: 'EUR', order_id: null },
        items: [{ product_id: product.id, sku: product.sku, warehouse_id: MAIN, quantity: 3, unit_price: '19.90' }],
        ...{ created_at, updated_at: created_at, expires_at },
      });
      expect(secondsBetween(created_at, expires_at)).toBe(600);
      expect(dataOf(await user.get(`/api/reservations/${id}`))).toEqual(reply.body.data);
      expect(await stockOf(test, product.id)).toEqual({ available: 7, reserved: 3, total: 10 });
    });

    it('hold several products and add up the lines of one', async () => {
      const [one, other] = [await aProduct(test, { price: '0.10' }), await aProduct(test, { price: '0.20' })];
      const lines = [
        [one.id, 1],
        [other.id, 2],
        [one.id, 3],
      ].map(([product_id, quantity]) => ({ product_id, quantity }));
      const { items, total_amount } = dataOf(await reserve({ items: lines }));
      expect(items).toHaveLength(2);
      expect(items).toEqual(expect.arrayContaining([expect.objectContaining({ product_id: one.id, quantity: 4 })]));
      expect(items).toEqual(expect.arrayContaining([expect.objectContaining({ product_id: other.id, quantity: 2 })]));
      expect(total_amount).toBe('0.80');
      await expectReconciled(test);
    });

    it('are written into the ledger and the audit log with their cause', async () => {
      const user = test.aUser();
      const { id } = await aProduct(test);
      const requestId = randomUUID();
      const reservation = dataOf(
        await user.post('/api/reservations', { product_id: id, quantity: 2 }, { 'X-Request-Id': requestId }),
      );
      const cause = { actor: `user:${user.userId}`, request_id: requestId };
      const [movement] = dataOf(await admin.get(`/api/products/${id}/stock-movements`));
      expect(movement).toMatchObject({
        ...cause,
        kind: 'reserve',
        available_delta: -2,
        reserved_delta: 2,
        available_after: 8,
        reserved_after: 2,
      });
      expect(movement).toMatchObject({ reservation_id: reservation.id, order_id: null, warehouse_id: MAIN });
      const rows = dataOf(await admin.get(`/api/audit-logs?request_id=${requestId}`));
      expect(rows).toEqual([
        expect.objectContaining({
          ...cause,
          action: 'reservation.created',
          object_id: reservation.id,
          new_value: reservation,
        }),
      ]);
    });

    it('take all lines or none, and name every short one with the true numbers', async () => {
      const [short, enough, gone] = [
        await aProduct(test),
        await aProduct(test),
        await aProduct(test, { initial_stock: 0 }),
      ];
      const items = [
        [short.id, 6],
        [enough.id, 10],
        [short.id, 5],
        [gone.id, 1],
      ].map(([product_id, quantity]) => ({ product_id, quantity }));
      const shortages = [
        { product_id: short.id, requested: 11, available: 10 },
        { product_id: gone.id, requested: 1, available: 0 },
      ];
      await expectRefused(() => reserve({ items }), { status: 409, code: 'insufficient_stock', shortages });
    });

    it('take up to 100 lines and not 101', async () => {
      const { id: product_id } = await aProduct(test, { initial_stock: 101 });
      const lines = (count: number) => Array.from({ length: count }, () => ({ product_id, quantity: 1 }));
      await expectRefused(async () => reserve({ items: lines(101) }), {
        status: 400,
        errors: [expect.objectContaining({ field: 'items' })],
      });
      expect(dataOf(await reserve({ items: lines(100) })).items).toMatchObject([{ quantity: 100 }]);
    });

    it.each([
      [{}, ['product_id', 'quantity']],
      [{ product_id: MAIN }, ['quantity']],
      [{ product_id: MAIN, quantity: 1, items: [{ product_id: MAIN, quantity: 1 }] }, ['product_id', 'quantity']],
      [{ warehouse_id: MAIN, items: [{ product_id: MAIN, quantity: 1 }] }, ['warehouse_id']],
      [{ items: [] }, ['items']],
      [{ items: null }, ['items']],
      [{ items: { product_id: MAIN, quantity: 1 } }, ['items']],
      [{ items: [null] }, ['items']],
      [{ items: ['x'] }, ['items']],
      [{ items: [[]] }, ['items']],
      [{ items: [[{ product_id: MAIN, quantity: 1 }]] }, ['items']],
      [
        {
          items: [
            { product_id: 'x', quantity: 0 },
            { product_id: MAIN, quantity: 1, colour: 'red' },
          ],
        },
        ['items.0.product_id', 'items.0.quantity', 'items.1.colour'],
      ],
      [{ product_id: MAIN, quantity: 1.5 }, ['quantity']],
      [{ product_id: MAIN, quantity: '1' }, ['quantity']],
      [{ product_id: MAIN, quantity: 1_000_001 }, ['quantity']],
      [{ product_id: MAIN, quantity: 1, warehouse_id: null }, ['warehouse_id']],
      [{ product_id: MAIN, quantity: 1, user_id: MAIN }, ['user_id']],
    ])('are refused for %j, by the fields %j', async (body, fields) => {
      const reply = await reserve(body);
      expect(reply.body).toMatchObject({ status: 400, code: 'validation_failed' });
      expect([...new Set(fieldsOf(reply).map((field) => field.replace(/^items\.\d+$/, 'items')))]).toEqual(fields);
    });

    it('do not find a product that is unknown or not active, or an unknown warehouse', async () => {
      const [{ id: hidden }, { id: product_id }] = [await aProduct(test), await aProduct(test)];
      dataOf(await admin.patch(`/api/products/${hidden}`, { is_active: false }));
      const notFound = { status: 404, code: 'not_found' };
      for (const unknown of [randomUUID(), hidden]) {
        await expectRefused(
          () =>
            reserve(
              {
                items: [
                  { product_id, quantity: 1 },
                  { product_id: unknown, quantity: 1 },
                ],
              },
              admin,
            ),
          notFound,
        );
      }
      await expectRefused(() => reserve({ product_id, quantity: 1, warehouse_id: randomUUID() }), notFound);
    });

    it('do not mix currencies, and name the line', async () => {
      const [euro, dollar] = [await aProduct(test), await aProduct(test, { currency: 'USD' })];
      const items = [
        { product_id: euro.id, quantity: 1 },
        { product_id: dollar.id, quantity: 1 },
      ];
      await expectRefused(() => reserve({ items }), {
        status: 400,
        errors: [expect.objectContaining({ field: 'items.1.product_id' })],
      });
      expect(dataOf(await reserve({ items: items.slice(1) })).currency).toBe('USD');
    });

    it.each([1, 17, MAX_TTL])('last the %d seconds that are asked for', async (ttl_seconds) => {
      const { id: product_id } = await aProduct(test);
      const { created_at, expires_at } = dataOf(await reserve({ product_id, quantity: 1, ttl_seconds }));
      expect(secondsBetween(created_at, expires_at)).toBe(ttl_seconds);
    });

    it.each([0, -1, 1.5, '10', null, MAX_TTL + 1, 1e12])('refuse a ttl_seconds of %p', async (ttl_seconds) => {
      const { id: product_id } = await aProduct(test);
      await expectRefused(() => reserve({ product_id, quantity: 1, ttl_seconds }), {
        status: 400,
        errors: [expect.objectContaining({ field: 'ttl_seconds' })],
      });
    });

    it('hold the price together with the stock', async () => {
      const user = test.aUser();
      const { id: product_id } = await aProduct(test);
      const { id } = await aReservation(user, product_id, { quantity: 2 });
      dataOf(await admin.patch(`/api/products/${product_id}`, { price: '99.99' }));
      expect(dataOf(await user.get(`/api/reservations/${id}`))).toMatchObject({
        total_amount: '39.80',
        items: [{ unit_price: '19.90' }],
      });
      expect(dataOf(await user.post(`/api/reservations/${id}/commit`))).toMatchObject({
        total_amount: '39.80',
        items: [{ unit_price: '19.90' }],
      });
      expect(dataOf(await reserve({ product_id, quantity: 1 })).total_amount).toBe('99.99');
    });
  });

  it('are shown to their owner and to administrators, and nobody else learns that they are there', async () => {
    const [owner, other] = [test.aUser(), test.aUser()];
    const { id } = await aReservation(owner, (await aProduct(test)).id);
    for (const [caller, status] of [
      [owner, 200],
      [admin, 200],
      [other, 404],
      [test.anonymous, 401],
    ] as const) {
      expect((await caller.get(`/api/reservations/${id}`)).status).toBe(status);
    }
    for (const action of ['commit', 'cancel', 'extend']) {
      await expectRefused(
        () => other.post(`/api/reservations/${id}/${action}`, action === 'extend' ? { ttl_seconds: 5 } : undefined),
        { status: 404, code: 'not_found' },
      );
    }
    expect([idsOf(await owner.get('/api/reservations')), idsOf(await other.get('/api/reservations'))]).toEqual([
      [id],
      [],
    ]);
  });

  it('are listed newest first by status and product, page by page', async () => {
    const user = test.aUser();
    const [{ id: product_id }, { id: elsewhere }] = [await aProduct(test), await aProduct(test)];
    const made: string[] = [];
    for (let index = 0; index < 5; index += 1) {
      made.unshift((await aReservation(user, product_id)).id);
    }
    const [, second] = made;
    dataOf(await user.post(`/api/reservations/${second}/cancel`));
    const other = await aReservation(user, elsewhere);
    expect(idsOf(await user.get('/api/reservations'))).toEqual([other.id, ...made]);
    expect(idsOf(await user.get('/api/reservations?status=cancelled'))).toEqual([second]);
    expect(idsOf(await admin.get(`/api/reservations?product_id=${product_id}`))).toEqual(made);
    const query = `product_id=${product_id}&status=active&limit=2`;
    const first = await user.get(`/api/reservations?${query}`);
    await aReservation(user, product_id);
    const next = await user.get(`/api/reservations?${query}&cursor=${first.body.page.next_cursor}`);
    expect([...idsOf(first), ...idsOf(next), next.body.page.next_cursor]).toEqual([
      ...made.filter((id) => id !== second),
      null,
    ]);
    expect((await user.get(`/api/reservations?limit=2&cursor=${first.body.page.next_cursor}`)).body.code).toBe(
      'invalid_cursor',
    );
    expect((await admin.get(`/api/reservations?${query}&cursor=${first.body.page.next_cursor}`)).body.code).toBe(
      'invalid_cursor',
    );
  });

  it.each(['status=open', 'status=', 'product_id=mug', 'limit=101', 'user_id=x', 'status=active&status=expired'])(
    'refuse to be listed by %s',
    async (query) => {
      expect((await admin.get(`/api/reservations?${query}`)).body).toMatchObject({
        status: 400,
        code: 'validation_failed',
      });
    },
  );
});
