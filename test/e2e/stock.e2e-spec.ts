import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { rowCounts } from '../support/database';
import { aProduct, aReservation, aWarehouse, dataOf, expectReconciled, stockOf, stockUp } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';
const MAX_STOCK = 1_000_000_000;
const NOT_FOUND = { status: 404, code: 'not_found' };

/** The problem of a request whose only fault is this field. */
const wrong = (field: string) => ({
  status: 400,
  code: 'validation_failed',
  errors: [expect.objectContaining({ field })],
});

describe('Stock', () => {
  let test: TestApp;
  let admin: Api;
  beforeAll(async () => {
    test = await startTestApp();
    admin = test.admin;
  });
  afterAll(() => test.close());

  const adjust = (productId: string, body: object, headers = {}): Promise<Reply> =>
    admin.post(`/api/products/${productId}/stock-adjustments`, { reason: 'stocktaking', ...body }, headers);
  const ledgerOf = async (productId: string) =>
    dataOf(await admin.get(`/api/products/${productId}/stock-movements?limit=100`));

  /** Runs an attempt that must fail with this problem, and leave no row behind in any table. */
  async function expectRefused(attempt: () => Promise<Reply>, problem: object): Promise<void> {
    const before = await rowCounts(test.database);
    expect((await attempt()).body).toMatchObject(problem);
    expect(await rowCounts(test.database)).toEqual(before);
    await expectReconciled(test);
  }

  describe('when it is adjusted', () => {
    it('goes up and down, and the answer is the level after', async () => {
      const { id } = await aProduct(test);
      const level = { product_id: id, warehouse_id: MAIN, reserved_stock: 0 };
      const up = await adjust(id, { delta: 5 });
      expect([up.status, up.body.data]).toEqual([201, { ...level, available_stock: 15, total_stock: 15 }]);
      expect(dataOf(await adjust(id, { delta: -15 }))).toEqual({ ...level, available_stock: 0, total_stock: 0 });
      await expectReconciled(test);
    });

    it('writes a movement and an audit row with the cause', async () => {
      const { id } = await aProduct(test);
      const requestId = randomUUID();
      dataOf(await adjust(id, { delta: -3, reason: 'broken' }, { 'X-Request-Id': requestId }));
      const actor = `user:${admin.userId}`;
      const [movement, initial] = await ledgerOf(id);
      expect(movement).toEqual({
        id: expect.any(String),
        ...{ product_id: id, warehouse_id: MAIN, kind: 'adjustment', reservation_id: null, order_id: null },
        ...{ available_delta: -3, reserved_delta: 0, available_after: 7, reserved_after: 0 },
        ...{ actor, reason: 'broken', request_id: requestId, created_at: expect.any(String) },
      });
      expect(initial).toMatchObject({ kind: 'initial', available_delta: 10, available_after: 10 });
      const [row] = dataOf(await admin.get(`/api/audit-logs?request_id=${requestId}`));
      expect(row).toMatchObject({ action: 'stock.adjusted', object_id: id, actor });
      expect([row.old_value, row.new_value]).toMatchObject([
        { available_stock: 10 },
        { available_stock: 7, delta: -3, reason: 'broken' },
      ]);
    });

    it('makes the level of a warehouse that has none yet, however its id is spelled', async () => {
      const { id } = await aProduct(test);
      const warehouse = await aWarehouse(test);
      expect(dataOf(await adjust(id, { delta: 4, warehouse_id: warehouse.id.toUpperCase() }))).toMatchObject({
        warehouse_id: warehouse.id,
        available_stock: 4,
      });
      expect(dataOf(await adjust(id, { delta: 1, warehouse_id: warehouse.id }))).toMatchObject({ available_stock: 5 });
      expect(await stockOf(test, id)).toEqual({ available: 15, reserved: 0, total: 15 });
      await expectReconciled(test);
    });

    it('never falls below zero, and says what is really there', async () => {
      const { id } = await aProduct(test);
      const shortage = { product_id: id, warehouse_id: MAIN, requested: 11, available: 10 };
      await expectRefused(() => adjust(id, { delta: -11 }), {
        status: 409,
        code: 'insufficient_stock',
        shortages: [shortage],
      });
    });

    it('leaves no level behind where there was none and nothing could be taken', async () => {
      const { id } = await aProduct(test);
      const { id: warehouse_id } = await aWarehouse(test);
      const shortage = { product_id: id, warehouse_id, requested: 1, available: 0 };
      await expectRefused(() => adjust(id, { delta: -1, warehouse_id }), {
        code: 'insufficient_stock',
        shortages: [shortage],
      });
    });

    it('leaves what is reserved where it is', async () => {
      const { id } = await aProduct(test);
      await aReservation(test.aUser(), id, { quantity: 4 });
      const shortage = { product_id: id, warehouse_id: MAIN, requested: 7, available: 6 };
      await expectRefused(() => adjust(id, { delta: -7 }), { code: 'insufficient_stock', shortages: [shortage] });
      expect(dataOf(await adjust(id, { delta: -6 }))).toMatchObject({
        available_stock: 0,
        reserved_stock: 4,
        total_stock: 4,
      });
    });

    it.each([0, 1.5, '5', null, true, 1_000_001, -1_000_001, 1e300, undefined])(
      'refuses a delta of %p',
      async (delta) => {
        const { id } = await aProduct(test);
        await expectRefused(() => adjust(id, { delta }), wrong('delta'));
      },
    );

    it.each([undefined, '', ' ', null, 5, 'x'.repeat(501)])('refuses a reason of %p', async (reason) => {
      const { id } = await aProduct(test);
      const { body } = await adjust(id, { delta: 1, reason });
      expect([body.code, body.errors[0].field]).toEqual(['validation_failed', 'reason']);
    });

    it('never grows beyond what the database can count', async () => {
      const { id } = await aProduct(test, { initial_stock: MAX_STOCK });
      await expectRefused(() => adjust(id, { delta: 1 }), wrong('delta'));
    });

    it('is 404 for an unknown product or warehouse', async () => {
      const { id } = await aProduct(test);
      await expectRefused(() => adjust(randomUUID(), { delta: 1 }), NOT_FOUND);
      await expectRefused(() => adjust(id, { delta: 1, warehouse_id: randomUUID() }), NOT_FOUND);
    });
  });

  describe('when it is transferred', () => {
    const transfer = (body: object, headers = {}): Promise<Reply> => admin.post('/api/stock-transfers', body, headers);

    it('leaves one level and comes to the other, with two movements and one audit row', async () => {
      const { id: product_id } = await aProduct(test);
      const { id: to_warehouse_id } = await aWarehouse(test);
      const move = { from_warehouse_id: MAIN, to_warehouse_id, quantity: 4, reason: 'nearer' };
      const requestId = randomUUID();
      const reply = await transfer({ product_id, ...move }, { 'X-Request-Id': requestId });
      expect(reply.status).toBe(201);
      expect(reply.body.data).toMatchObject({
        ...move,
        from: { available_stock: 6, total_stock: 6 },
        to: { available_stock: 4, total_stock: 4 },
      });
      const [into, out] = await ledgerOf(product_id);
      const cause = { reason: 'nearer', request_id: requestId, actor: `user:${admin.userId}` };
      expect(out).toMatchObject({
        ...cause,
        kind: 'transfer_out',
        warehouse_id: MAIN,
        available_delta: -4,
        available_after: 6,
      });
      expect(into).toMatchObject({
        ...cause,
        kind: 'transfer_in',
        warehouse_id: to_warehouse_id,
        available_delta: 4,
        available_after: 4,
      });
      const rows = dataOf(await admin.get(`/api/audit-logs?request_id=${requestId}`));
      expect(rows).toEqual([
        expect.objectContaining({
          action: 'stock.transferred',
          object_id: product_id,
          new_value: { transfer_id: reply.body.data.id, ...move },
        }),
      ]);
      await expectReconciled(test);
    });

    it('knows products and warehouses however their ids are spelled', async () => {
      const { id: product_id } = await aProduct(test);
      const { id } = await aWarehouse(test);
      const reply = await transfer({
        product_id: product_id.toUpperCase(),
        from_warehouse_id: MAIN,
        to_warehouse_id: id.toUpperCase(),
        quantity: 1,
      });
      expect(dataOf(reply)).toMatchObject({
        product_id,
        to_warehouse_id: id,
        reason: null,
        to: { warehouse_id: id, available_stock: 1 },
      });
      const back = { product_id, from_warehouse_id: id, to_warehouse_id: id.toUpperCase(), quantity: 1 };
      await expectRefused(() => transfer(back), wrong('to_warehouse_id'));
    });

    it('takes only what is available, and a transfer that fails leaves nothing behind', async () => {
      const { id: product_id } = await aProduct(test);
      const { id: to_warehouse_id } = await aWarehouse(test);
      await aReservation(test.aUser(), product_id, { quantity: 3 });
      const shortages = [{ product_id, warehouse_id: MAIN, requested: 8, available: 7 }];
      const body = { product_id, from_warehouse_id: MAIN, to_warehouse_id, quantity: 8 };
      await expectRefused(() => transfer(body, { 'Idempotency-Key': randomUUID() }), {
        status: 409,
        code: 'insufficient_stock',
        shortages,
      });
    });

    it('never brings a level above what the database can count', async () => {
      const { id: product_id } = await aProduct(test, { initial_stock: MAX_STOCK });
      const { id } = await aWarehouse(test);
      await stockUp(test, product_id, 1, id);
      const body = { product_id, from_warehouse_id: id, to_warehouse_id: MAIN, quantity: 1 };
      await expectRefused(() => transfer(body), wrong('quantity'));
    });

    it('is 404 for an unknown product or warehouse', async () => {
      const { id: product_id } = await aProduct(test);
      const { id } = await aWarehouse(test);
      const good = { product_id, from_warehouse_id: MAIN, to_warehouse_id: id, quantity: 1 };
      for (const field of ['product_id', 'from_warehouse_id', 'to_warehouse_id']) {
        await expectRefused(() => transfer({ ...good, [field]: randomUUID() }), NOT_FOUND);
      }
    });

    it.each([0, -1, 1.5, '5', 1_000_001])('refuses a quantity of %p', async (quantity) => {
      const body = { product_id: randomUUID(), from_warehouse_id: MAIN, to_warehouse_id: randomUUID(), quantity };
      await expectRefused(() => transfer(body), wrong('quantity'));
    });
  });

  describe('in the ledger', () => {
    it('is told newest first, page by page, each movement once', async () => {
      const { id } = await aProduct(test);
      for (let delta = 1; delta <= 6; delta += 1) {
        dataOf(await adjust(id, { delta }));
      }
      const seen: number[] = [];
      for (let cursor: string | null = ''; cursor !== null;) {
        const reply = await admin.get(`/api/products/${id}/stock-movements?limit=3${cursor && `&cursor=${cursor}`}`);
        seen.push(...dataOf(reply).map((row: { available_delta: number }) => row.available_delta));
        cursor = reply.body.page.next_cursor;
        dataOf(await adjust(id, { delta: 100 }));
      }
      expect(seen).toEqual([6, 5, 4, 3, 2, 1, 10]);
    });

    it('does not take the cursor of another product, and is 404 for an unknown one', async () => {
      const [one, other] = [await aProduct(test), await aProduct(test)];
      dataOf(await adjust(one.id, { delta: 1 }));
      const { next_cursor: cursor } = (await admin.get(`/api/products/${one.id}/stock-movements?limit=1`)).body.page;
      expect((await admin.get(`/api/products/${other.id}/stock-movements?cursor=${cursor}`)).body.code).toBe(
        'invalid_cursor',
      );
      expect((await admin.get(`/api/products/${randomUUID()}/stock-movements`)).body.code).toBe('not_found');
    });

    it.each(['UPDATE stock_movements SET reason = NULL', 'DELETE FROM stock_movements', 'TRUNCATE stock_movements'])(
      'stands for ever: no %s',
      async (sql) => {
        await aProduct(test);
        const before = await rowCounts(test.database);
        await expect(test.database.query(sql)).rejects.toThrow('stock_movements is append-only');
        expect(await rowCounts(test.database)).toEqual(before);
      },
    );
  });

  it.each([
    ['available = -1, total = -1', 'stock_levels_available_not_negative'],
    ['reserved = -1, total = 9', 'stock_levels_reserved_not_negative'],
    ['total = 11', 'stock_levels_total_is_sum'],
    ['available = 9', 'stock_levels_total_is_sum'],
  ])('cannot be set to %s even past the service', async (values, constraint) => {
    const { id } = await aProduct(test);
    const writing = test.database.query(`UPDATE stock_levels SET ${values} WHERE product_id = $1`, [id]);
    await expect(writing).rejects.toMatchObject({ code: '23514', constraint });
  });

  it('is moved and its ledger read by administrators only', async () => {
    const { id } = await aProduct(test);
    const attempts = (caller: Api) =>
      Promise.all([
        caller.post(`/api/products/${id}/stock-adjustments`, { delta: 1, reason: 'gift' }),
        caller.get(`/api/products/${id}/stock-movements`),
        caller.post('/api/stock-transfers', {}),
      ]);
    expect((await attempts(test.aUser())).map(({ status }) => status)).toEqual([403, 403, 403]);
    expect((await attempts(test.anonymous)).map(({ status }) => status)).toEqual([401, 401, 401]);
  });
});
