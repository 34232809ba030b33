import { createDatabase, type TestDatabase } from '../support/database';
import { aProduct, dataOf } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

const ROWS = 3000;
const PRODUCT = '019a0000-0000-7000-8000-0000000000aa';
const USER = '019a0000-0000-7000-8000-0000000000bb';
const MAIN = '00000000-0000-7000-8000-000000000001';

/** Every third row has the first of two values. */
const either = (first: string, second: string): string => `CASE WHEN n % 3 = 0 THEN '${first}' ELSE '${second}' END`;
const ROWS_OF_EACH_LIST = [
  `INSERT INTO warehouses (id, code, name) SELECT gen_random_uuid(), 'W' || n, 'W' FROM numbers`,
  `INSERT INTO products (id, sku, name, price, currency)
   SELECT gen_random_uuid(), 'P' || n, ${either('mug', 'cup')}, 1, 'EUR' FROM numbers`,
  `INSERT INTO products (id, sku, name, price, currency)
   SELECT '${PRODUCT}', 'X', 'cup', 1, 'EUR' FROM numbers WHERE n = 1`,
  `INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after,
     reserved_after, actor, request_id)
   SELECT gen_random_uuid(), '${PRODUCT}', '${MAIN}', 'adjustment', 1, 0, n, 0, 'system:test', gen_random_uuid() FROM numbers`,
  `INSERT INTO reservations (id, user_id, status, expires_at, total_amount, currency)
   SELECT gen_random_uuid(), '${USER}', ${either('cancelled', 'committed')}, statement_timestamp(), 1, 'EUR' FROM numbers`,
  `INSERT INTO orders (id, user_id, status, total_amount, currency, reservation_id)
   SELECT gen_random_uuid(), '${USER}', ${either('cancelled', 'delivered')}, 1, 'EUR', gen_random_uuid() FROM numbers`,
  `INSERT INTO audit_logs (id, actor, action, object_type, object_id, request_id)
   SELECT gen_random_uuid(), 'system:test', ${either('order.created', 'order.status_changed')}, 'order', gen_random_uuid(), gen_random_uuid() FROM numbers`,
];

const LISTS = [
  { path: '/api/orders', third: 'status=cancelled' },
  { path: '/api/audit-logs', third: 'action=order.created' },
  { path: '/api/reservations', third: 'status=cancelled' },
  { path: '/api/products', third: 'q=mug' },
  { path: `/api/products/${PRODUCT}/stock-movements` },
  { path: '/api/warehouses' },
];

interface PageInfo {
  next_cursor: string | null;
  estimated_count?: number;
}

describe('The estimated count', () => {
  let database: TestDatabase;
  let test: TestApp;
  beforeAll(async () => {
    database = await createDatabase();
    test = await startTestApp({}, database);
    for (const insert of ROWS_OF_EACH_LIST) {
      await database.query(`WITH numbers AS (SELECT n FROM generate_series(1, ${ROWS}) AS n) ${insert}`);
    }
    await database.query('VACUUM ANALYZE');
  });
  afterAll(async () => {
    await test.close();
    await database.drop();
  });

  const pageOf = async (path: string, query: string): Promise<PageInfo> => {
    const reply = await test.admin.get(`${path}?${query}`);
    dataOf(reply);
    return reply.body.page as PageInfo;
  };
  /** Within a third of what there is: enough to say "about 1,200". */
  const expectAbout = (count: number | undefined, rows: number): void => {
    expect(count).toBeGreaterThan(rows * 0.67);
    expect(count).toBeLessThan(rows * 1.5);
  };

  describe.each(LISTS)('of $path', ({ path, third }) => {
    it('is given if it is asked for', async () => {
      expect(await pageOf(path, 'limit=5')).not.toHaveProperty('estimated_count');
      expectAbout((await pageOf(path, 'limit=5&count=estimated')).estimated_count, ROWS);
    });

    if (third) {
      it('is of what the filters leave', async () => {
        expectAbout((await pageOf(path, `limit=5&count=estimated&${third}`)).estimated_count, ROWS / 3);
      });
    }

    it('is of all pages, whichever is shown, and does not belong to the cursor', async () => {
      const first = await pageOf(path, 'limit=5&count=estimated');
      const second = await pageOf(path, `limit=5&count=estimated&cursor=${first.next_cursor}`);
      expect(second.estimated_count).toBe(first.estimated_count);
      expect(await pageOf(path, `limit=5&cursor=${first.next_cursor}`)).not.toHaveProperty('estimated_count');
    });

    it('is refused if another is asked for', async () => {
      expect(await test.admin.get(`${path}?count=exact`)).toMatchObject({
        status: 400,
        body: { code: 'validation_failed', errors: [{ field: 'count' }] },
      });
    });
  });

  it('is exact where the first page is the only one', async () => {
    const none = await pageOf('/api/orders', 'count=estimated&min_total=2');
    expect(none.estimated_count).toBe(0);
    const { id } = await aProduct(test);
    expect((await pageOf(`/api/products/${id}/stock-movements`, 'count=estimated')).estimated_count).toBe(1);
  });

  it('never says less than is shown', async () => {
    // What was made since the statistics were, they do not know of.
    await database.query(`
      INSERT INTO orders (id, user_id, status, total_amount, currency, reservation_id)
      SELECT gen_random_uuid(), gen_random_uuid(), 'shipped', 1, 'EUR', gen_random_uuid() FROM generate_series(1, 50)`);
    const first = await pageOf('/api/orders', 'status=shipped&limit=30&count=estimated');
    expect(first.estimated_count).toBe(31);
    const last = await pageOf('/api/orders', `status=shipped&limit=30&count=estimated&cursor=${first.next_cursor}`);
    expect(last).toEqual({ limit: 30, next_cursor: null, estimated_count: 20 });
  });
});
