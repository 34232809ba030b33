import { randomUUID } from 'node:crypto';
import type { Reply } from '../support/api';
import { inOneBatchOf, LOCK_LEVELS } from '../support/batches';
import { rowCounts } from '../support/database';
import { anOrder, aProduct, aWarehouse, bring, dataOf, expectReconciled, stockOf, stockUp } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';
/** What PostgreSQL's integer holds. */
const LEVEL_CAPACITY = 2_147_483_647;
/** Of one line, and put into a new product. */
const [MOST_OF_A_LINE, MOST_OF_A_PRODUCT] = [1_000_000, 1_000_000_000];

describe('A level with more pieces than may be put into it', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  /** Fills a level up to so many, as thousands of deliveries would after as many sales. */
  async function fillUp(productId: string, total: number, warehouseId = MAIN): Promise<void> {
    await test.database.query(
      `WITH level AS (SELECT * FROM stock_levels WHERE product_id = $1 AND warehouse_id = $2), filled AS (
         UPDATE stock_levels AS old SET available = $3 - old.reserved, total = $3 FROM level
         WHERE old.product_id = level.product_id AND old.warehouse_id = level.warehouse_id)
       INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta,
         available_after, reserved_after, actor, reason, request_id)
       SELECT $4, $1, $2, 'adjustment', $3 - total, 0, $3 - reserved, reserved, 'system:test', 'deliveries', $4 FROM level`,
      [productId, warehouseId, total, randomUUID()],
    );
  }

  const adjust = (id: string, delta: number): Promise<Reply> =>
    test.admin.post(`/api/products/${id}/stock-adjustments`, { delta, reason: 'counted' });
  const cancel = (orderId: string): Promise<Reply> =>
    test.admin.patch(`/api/orders/${orderId}/status`, { status: 'cancelled' });

  /** A confirmed order of so many pieces, and a level that has room for so many. */
  async function sold(quantity: number, room: number): Promise<{ product: string; order: string }> {
    const { id: product } = await aProduct(test, { initial_stock: MOST_OF_A_PRODUCT });
    const { id: order } = await anOrder(test.aUser(), product, quantity);
    await bring(test, order, 'confirmed');
    await fillUp(product, LEVEL_CAPACITY - room);
    return { product, order };
  }

  it('can be reduced, by adjustments and by transfers, and not filled further', async () => {
    const { id: product_id } = await aProduct(test, { initial_stock: MOST_OF_A_PRODUCT });
    const { id: to_warehouse_id } = await aWarehouse(test);
    const { id: order } = await anOrder(test.aUser(), product_id, 5);
    await bring(test, order, 'confirmed');
    await fillUp(product_id, MOST_OF_A_PRODUCT);
    expect((await cancel(order)).status).toBe(200);
    expect(dataOf(await adjust(product_id, -1)).total_stock).toBe(MOST_OF_A_PRODUCT + 4);
    const transfer = { product_id, from_warehouse_id: MAIN, to_warehouse_id, quantity: 1 };
    expect(dataOf(await test.admin.post('/api/stock-transfers', transfer)).from.total_stock).toBe(
      MOST_OF_A_PRODUCT + 3,
    );
    const back = { ...transfer, from_warehouse_id: to_warehouse_id, to_warehouse_id: MAIN };
    for (const reply of [await adjust(product_id, 1), await test.admin.post('/api/stock-transfers', back)]) {
      expect(reply.body).toMatchObject({ status: 400, code: 'validation_failed' });
    }
  });

  it('takes back what was sold as long as it can count it, and then says that there is no room', async () => {
    const { product, order } = await sold(MOST_OF_A_LINE, MOST_OF_A_LINE - 1);
    const before = await rowCounts(test.database);
    expect((await cancel(order)).body).toMatchObject({
      ...{ status: 409, code: 'stock_level_full' },
      levels: [{ product_id: product, warehouse_id: MAIN, quantity: MOST_OF_A_LINE, room: MOST_OF_A_LINE - 1 }],
    });
    expect(await rowCounts(test.database)).toEqual(before);
    expect(dataOf(await test.admin.get(`/api/orders/${order}`)).status).toBe('confirmed');

    dataOf(await adjust(product, -1));
    expect(dataOf(await cancel(order)).status).toBe('cancelled');
    expect(await stockOf(test, product)).toEqual({ available: LEVEL_CAPACITY, reserved: 0, total: LEVEL_CAPACITY });
    const [newest] = dataOf(await test.admin.get(`/api/products/${product}/stock-movements`));
    expect(newest).toMatchObject({ kind: 'restock', available_after: LEVEL_CAPACITY });
  });

  it('takes back what fits of the orders that are cancelled at once', async () => {
    const { product, order } = await sold(3, 0);
    const others = [await anOrder(test.aUser(), product, 2), await anOrder(test.aUser(), product, 2)];
    for (const { id } of others) {
      await bring(test, id, 'confirmed');
    }
    const gate = await aProduct(test);
    const waiting = await anOrder(test.aUser(), gate.id);
    const opener = { lock: { sql: LOCK_LEVELS, values: [gate.id] }, attempt: () => cancel(waiting.id) };
    const { replies } = await inOneBatchOf(
      test,
      { openers: [opener], rows: {} },
      [others[0]!.id, order, others[1]!.id].map((id) => () => cancel(id)),
    );
    expect(replies.map(({ status, body }) => body.code ?? status)).toEqual([200, 'stock_level_full', 200]);
    expect(replies[1]!.body.levels).toMatchObject([{ quantity: 3, room: 2 }]);
    expect(await stockOf(test, product)).toEqual({ available: LEVEL_CAPACITY, reserved: 0, total: LEVEL_CAPACITY });
  });

  it('is added to those of other warehouses, wherever stock is summed up', async () => {
    const metrics = async (): Promise<{ available: number; total: number }> =>
      dataOf(await test.admin.get('/api/admin/metrics')).stock;
    const before = await metrics();
    const { id } = await aProduct(test, { initial_stock: MOST_OF_A_PRODUCT });
    for (const name of ['North', 'South', 'West']) {
      const { id: warehouse_id } = await aWarehouse(test, { name });
      await stockUp(test, id, 1, warehouse_id);
      await fillUp(id, MOST_OF_A_PRODUCT, warehouse_id);
    }
    const all = 4 * MOST_OF_A_PRODUCT;
    expect(await stockOf(test, id)).toEqual({ available: all, reserved: 0, total: all });
    const after = await metrics();
    expect([after.available - before.available, after.total - before.total]).toEqual([all, all]);
  });

  it('can be sold at the highest price, a hundred lines of it', async () => {
    const price = '999999999999.99';
    const { id: product_id } = await aProduct(test, { initial_stock: MOST_OF_A_PRODUCT, price });
    const items = Array(100).fill({ product_id, quantity: MOST_OF_A_LINE });
    const order = dataOf(await test.aUser().post('/api/orders', { items }));
    expect(order).toMatchObject({
      total_amount: '99999999999999000000.00',
      items: [{ quantity: 100 * MOST_OF_A_LINE }],
    });
    await bring(test, order.id, 'confirmed', 'cancelled');
    expect(await stockOf(test, product_id)).toMatchObject({ available: MOST_OF_A_PRODUCT, reserved: 0 });
  });
});
