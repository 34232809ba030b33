import { randomUUID } from 'node:crypto';
import { anOrder, aProduct, aReservation, aWarehouse, bring, dataOf, letTimePass, stockUp } from '../support/factories';
import { storm } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';

describe('The numbers of the business', () => {
  let test: TestApp;
  // They count everything that there is, so every test has a database of its own.
  beforeEach(async () => {
    test = await startTestApp();
  });
  afterEach(() => test.close());

  it('are all there when nothing is', async () => {
    expect(dataOf(await test.admin.get('/api/admin/metrics'))).toEqual({
      orders_by_status: { pending: 0, confirmed: 0, processing: 0, shipped: 0, delivered: 0, cancelled: 0 },
      revenue: [],
      reservations: { active: 0, overdue: 0 },
      stock: { available: 0, reserved: 0, total: 0 },
      low_stock_products: [],
    });
  });

  it('count orders, money, holds and stock', async () => {
    const product = await aProduct(test, { initial_stock: 100, price: '0.10' });
    const dollars = await aProduct(test, { initial_stock: 50, price: '999999999999.99', currency: 'USD' });
    const user = test.aUser();
    for (const way of [
      [],
      [],
      ['cancelled'],
      ['confirmed', 'cancelled'],
      ['confirmed'],
      ['confirmed', 'processing'],
      ['confirmed', 'processing', 'shipped', 'delivered'],
    ]) {
      await bring(test, (await anOrder(user, product.id, 3)).id, ...way);
    }
    await bring(test, (await anOrder(user, dollars.id, 7)).id, 'confirmed', 'processing', 'shipped');
    await aReservation(user, product.id, { quantity: 5 });
    await letTimePass(test, (await aReservation(user, product.id, { quantity: 2 })).id);

    expect(dataOf(await test.admin.get('/api/admin/metrics'))).toEqual({
      orders_by_status: { pending: 2, confirmed: 1, processing: 1, shipped: 1, delivered: 1, cancelled: 2 },
      revenue: [
        { currency: 'EUR', amount: '0.90' },
        { currency: 'USD', amount: '6999999999999.93' },
      ],
      reservations: { active: 3, overdue: 1 },
      stock: { available: 78 + 43, reserved: 13, total: 91 + 43 },
      low_stock_products: [],
    });
  });

  it('name the active products that are at or below their threshold, over all warehouses, the scarcest first', async () => {
    const at = await aProduct(test, { initial_stock: 3, low_stock_threshold: 3 });
    const empty = await aProduct(test, { initial_stock: 0 });
    await aProduct(test, { initial_stock: 4, low_stock_threshold: 3 });
    const elsewhere = await aProduct(test, { initial_stock: 1, low_stock_threshold: 3 });
    await stockUp(test, elsewhere.id, 5, (await aWarehouse(test)).id);
    const retired = await aProduct(test, { initial_stock: 0 });
    dataOf(await test.admin.patch(`/api/products/${retired.id}`, { is_active: false }));
    const held = await aProduct(test, { initial_stock: 9, low_stock_threshold: 5 });
    await aReservation(test.aUser(), held.id, { quantity: 8 });
    expect(dataOf(await test.admin.get('/api/admin/metrics')).low_stock_products).toEqual([
      { product_id: empty.id, sku: empty.sku, available_stock: 0, low_stock_threshold: 0 },
      { product_id: held.id, sku: held.sku, available_stock: 1, low_stock_threshold: 5 },
      { product_id: at.id, sku: at.sku, available_stock: 3, low_stock_threshold: 3 },
    ]);
  });

  it('name 100 scarce products at most', async () => {
    await test.database.query(
      `INSERT INTO products (id, sku, name, price, currency) SELECT gen_random_uuid(), 'S' || n, 'n', 1, 'EUR' FROM generate_series(1, 101) AS n`,
    );
    expect(dataOf(await test.admin.get('/api/admin/metrics')).low_stock_products).toHaveLength(100);
  });
});

describe('Reconciliation', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterAll(() => test.close());

  const check = async () => dataOf(await test.admin.get('/api/admin/reconciliation'));
  /** What it finds about one product; the levels of other tests have differences of their own. */
  const findingsOn = async (productId: string) => {
    const { ok, differences } = await check();
    expect(ok).toBe(differences.length === 0);
    return differences.filter((difference: { product_id: string }) => difference.product_id === productId);
  };
  const run = (sql: string, ...values: unknown[]) => test.database.query(sql, values);

  it('finds nothing after every way in which stock moves, and says how many levels it compared', async () => {
    const own = await startTestApp();
    try {
      const warehouse = await aWarehouse(own);
      const product = await aProduct(own);
      await aProduct(own, { initial_stock: 0 });
      await stockUp(own, product.id, -1);
      await stockUp(own, product.id, 4, warehouse.id);
      const transfer = { product_id: product.id, from_warehouse_id: MAIN, to_warehouse_id: warehouse.id, quantity: 2 };
      dataOf(await own.admin.post('/api/stock-transfers', transfer));
      await storm(4, async (index) =>
        bring(
          own,
          (await anOrder(own.aUser(), product.id, 2)).id,
          ...[[], ['cancelled'], ['confirmed'], ['confirmed', 'cancelled']][index]!,
        ),
      );
      const [overdue, late] = [
        await aReservation(own.aUser(), product.id),
        await aReservation(own.aUser(), product.id),
      ];
      await letTimePass(own, overdue.id);
      await own.sweep();
      await letTimePass(own, late.id);
      expect(dataOf(await own.admin.get('/api/admin/reconciliation'))).toEqual({
        ok: true,
        checked: 3,
        differences: [],
      });
    } finally {
      await own.close();
    }
  });

  it('finds a level that was changed past the ledger', async () => {
    const { id: product_id } = await aProduct(test);
    await run('UPDATE stock_levels SET available = 12, total = 12 WHERE product_id = $1', product_id);
    expect(await findingsOn(product_id)).toEqual([
      { product_id, warehouse_id: MAIN, what: 'available_stock', expected: 10, actual: 12 },
    ]);
    expect((await check()).ok).toBe(false);
  });

  it('finds a row in the ledger that no level knows', async () => {
    const { id: product_id } = await aProduct(test);
    const { id: warehouse_id } = await aWarehouse(test);
    await run(
      `INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after, reserved_after, actor, request_id)
       VALUES ($1, $2, $3, 'adjustment', 4, 0, 4, 0, 'system:nobody', $1)`,
      ...[randomUUID(), product_id, warehouse_id],
    );
    expect(await findingsOn(product_id)).toEqual([
      { product_id, warehouse_id, what: 'available_stock', expected: 4, actual: 0 },
    ]);
  });

  it('finds a level without a ledger', async () => {
    const { id: product_id } = await aProduct(test);
    const { id: warehouse_id } = await aWarehouse(test);
    await run(
      'INSERT INTO stock_levels (product_id, warehouse_id, available, reserved, total) VALUES ($1, $2, 2, 0, 2)',
      product_id,
      warehouse_id,
    );
    expect(await findingsOn(product_id)).toEqual([
      { product_id, warehouse_id, what: 'available_stock', expected: 0, actual: 2 },
    ]);
  });

  it('finds what is reserved without a reservation', async () => {
    const { id: product_id } = await aProduct(test);
    await run('UPDATE stock_levels SET available = 7, reserved = 3 WHERE product_id = $1', product_id);
    expect(await findingsOn(product_id)).toEqual([
      { product_id, warehouse_id: MAIN, what: 'active_reservations', expected: 0, actual: 3 },
      { product_id, warehouse_id: MAIN, what: 'available_stock', expected: 10, actual: 7 },
      { product_id, warehouse_id: MAIN, what: 'reserved_stock', expected: 0, actual: 3 },
    ]);
  });

  it.each(['committed', 'cancelled', 'expired'])(
    'finds a hold that ended as %s and left its pieces reserved',
    async (status) => {
      const { id: product_id } = await aProduct(test);
      const { id } = await aReservation(test.aUser(), product_id, { quantity: 2 });
      await run('UPDATE reservations SET status = $2 WHERE id = $1', id, status);
      expect(await findingsOn(product_id)).toEqual([
        { product_id, warehouse_id: MAIN, what: 'active_reservations', expected: 0, actual: 2 },
      ]);
    },
  );

  it('finds a reservation that holds nothing', async () => {
    const { id: product_id } = await aProduct(test);
    const { id, user_id } = await aReservation(test.aUser(), (await aProduct(test)).id);
    await run(
      `INSERT INTO reservation_items (reservation_id, user_id, product_id, warehouse_id, quantity, unit_price)
       VALUES ($1, $2, $3, $4, 6, 1)`,
      id,
      user_id,
      product_id,
      MAIN,
    );
    expect(await findingsOn(product_id)).toEqual([
      { product_id, warehouse_id: MAIN, what: 'active_reservations', expected: 6, actual: 0 },
    ]);
  });

  it('is not deceived by differences that cancel each other out between warehouses', async () => {
    const { id: product_id } = await aProduct(test);
    const { id: other } = await aWarehouse(test);
    await stockUp(test, product_id, 5, other);
    await run(
      `UPDATE stock_levels SET available = available + 1, total = total + 1 WHERE product_id = $1 AND warehouse_id = $2`,
      product_id,
      MAIN,
    );
    await run(
      `UPDATE stock_levels SET available = available - 1, total = total - 1 WHERE product_id = $1 AND warehouse_id = $2`,
      product_id,
      other,
    );
    expect(await findingsOn(product_id)).toEqual([
      { product_id, warehouse_id: MAIN, what: 'available_stock', expected: 10, actual: 11 },
      { product_id, warehouse_id: other, what: 'available_stock', expected: 5, actual: 4 },
    ]);
  });

  it.each(['/api/admin/metrics', '/api/admin/reconciliation'])('and %s are for administrators', async (path) => {
    expect(await test.aUser().get(path)).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    expect(await test.anonymous.get(path)).toMatchObject({ status: 401, body: { code: 'unauthenticated' } });
  });
});
