import { rowCounts, type TestDatabase } from '../support/database';
import { bring, dataOf, expectReconciled, letTimePass, stockOf } from '../support/factories';
import { createSeededDatabase, END, wrongMovements } from '../support/seeds';
import { startTestApp, type TestApp } from '../support/test-app';

const STATUSES = ['pending', 'confirmed', 'processing', 'shipped', 'delivered', 'cancelled'];
/** The steps that lead to a status; more than one way leads to cancelled. */
const WAYS: Record<string, string[]> = {
  pending: [''],
  confirmed: ['confirmed'],
  processing: ['confirmed,processing'],
  shipped: ['confirmed,processing,shipped'],
  delivered: ['confirmed,processing,shipped,delivered'],
  cancelled: ['cancelled', 'confirmed,cancelled'],
};

jest.setTimeout(120_000);

describe('A seeded database', () => {
  let database: TestDatabase;
  let test: TestApp;
  beforeAll(async () => {
    database = await createSeededDatabase();
    test = await startTestApp({}, database);
  });
  afterAll(async () => {
    await test.close();
    await database.drop();
  });
  beforeEach(() => expectReconciled(test));
  afterEach(() => expectReconciled(test));

  async function idsOf(status: string): Promise<string[]> {
    const orders = await test.database.query<{ id: string }>(
      `SELECT id FROM orders WHERE status = $1 AND created_at < $2 ORDER BY id`,
      [status, END],
    );
    return orders.map(({ id }) => id);
  }

  it('has as many orders as were asked for, with a ledger that is right in every row', async () => {
    expect(await rowCounts(test.database)).toMatchObject({
      orders: 2000,
      reservations: 2000,
      products: 20,
      users: 668,
    });
    expect(await wrongMovements(test.database)).toEqual([]);
    const { checked } = dataOf(await test.admin.get('/api/admin/reconciliation'));
    expect(checked).toBe(20);
  });

  it('has every status: most orders are delivered, few are pending', async () => {
    const { orders_by_status: count, reservations } = dataOf(await test.admin.get('/api/admin/metrics'));
    expect(
      Object.keys(count)
        .filter((status) => count[status] > 0)
        .sort(),
    ).toEqual([...STATUSES].sort());
    expect(count.delivered).toBeGreaterThan(1600);
    expect(count.cancelled).toBeGreaterThan(100);
    expect(count.pending).toBeLessThan(20);
    expect(reservations).toEqual({ active: count.pending, overdue: 0 });
  });

  it.each(STATUSES)('lists orders that are %s, with their items and the history that leads there', async (status) => {
    const listed = dataOf(await test.admin.get(`/api/orders?status=${status}&limit=20`));
    expect(listed.length).toBeGreaterThan(0);
    for (const order of listed) {
      const cents = order.items.map((item: { line_total: string }) => Math.round(Number(item.line_total) * 100));
      expect(cents.reduce((sum: number, one: number) => sum + one, 0)).toBe(
        Math.round(Number(order.total_amount) * 100),
      );
      const history = dataOf(await test.admin.get(`/api/orders/${order.id}/history`));
      expect(WAYS[status]).toContain(history.map((step: { to: string }) => step.to).join());
      expect(order.version).toBe(1 + history.length);
      expect(history.at(-1)?.at ?? order.created_at).toBe(order.updated_at);
      expect(dataOf(await test.admin.get(`/api/audit-logs?object_id=${order.id}`))).toHaveLength(1 + history.length);
    }
  });

  it('has reservations that ended as their orders say', async () => {
    const pairs = await test.database.query(`
      SELECT DISTINCT orders.status, reservations.status AS hold FROM orders
      JOIN reservations ON reservations.id = orders.reservation_id AND reservations.order_id = orders.id
      WHERE orders.total_amount = reservations.total_amount AND orders.user_id = reservations.user_id`);
    const sold = ['confirmed', 'processing', 'shipped', 'delivered', 'cancelled'];
    const expected = [
      { status: 'pending', hold: 'active' },
      { status: 'cancelled', hold: 'cancelled' },
      { status: 'cancelled', hold: 'expired' },
      ...sold.map((status) => ({ status, hold: 'committed' })),
    ];
    expect(pairs).toHaveLength(expected.length);
    expect(pairs).toEqual(expect.arrayContaining(expected));
  });

  it('holds what is pending for at most as long as a hold may last from now', async () => {
    const [row] = await test.database.query<{ soonest: number; latest: number }>(`
      SELECT extract(epoch FROM min(expires_at) - clock_timestamp())::float8 AS soonest,
        extract(epoch FROM max(expires_at) - clock_timestamp())::float8 AS latest
      FROM reservations WHERE status = 'active'`);
    expect(row!.soonest).toBeGreaterThan(1500);
    expect(row!.latest).toBeLessThanOrEqual(3600);
  });

  it('tells nobody of stock that has been low for long', async () => {
    const low = await test.database.query(`
      SELECT id AS product_id, CASE available WHEN 0 THEN 'out' ELSE 'low' END AS state
      FROM products JOIN stock_levels ON product_id = id WHERE available <= low_stock_threshold ORDER BY id`);
    expect(low).not.toEqual([]);
    expect(await test.database.query('SELECT * FROM product_alerts ORDER BY product_id')).toEqual(low);
  });

  it('has one customer with about a twentieth of all orders, and many with one', async () => {
    const customers = await test.database.query<{ orders: number }>(
      'SELECT count(*)::int AS orders FROM orders GROUP BY user_id ORDER BY orders DESC',
    );
    expect(customers[0]!.orders / 2000).toBeGreaterThan(0.035);
    expect(customers[0]!.orders / 2000).toBeLessThan(0.065);
    expect(customers.filter(({ orders }) => orders === 1).length).toBeGreaterThan(50);
    const strangers = await test.database.query(`
      SELECT FROM orders LEFT JOIN users ON users.id = user_id AND users.created_at < orders.created_at WHERE users.id IS NULL`);
    expect(strangers).toEqual([]);
  });

  it.each(['user', 'admin'])('lets nobody log in as a seeded %s', async (role) => {
    const [user] = await test.database.query<{ email: string }>(
      'SELECT email FROM users WHERE role = $1 AND created_at < $2 LIMIT 1',
      [role, END],
    );
    const reply = await test.anonymous.post('/api/auth/login', { ...user, password: 'correct horse battery' });
    expect(reply).toMatchObject({ status: 401, body: { code: 'unauthenticated' } });
  });

  it('writes ids that know their time', async () => {
    const wrong = await test.database.query(`
      SELECT id FROM (
        SELECT id, created_at FROM orders UNION ALL SELECT id, created_at FROM reservations
        UNION ALL SELECT id, created_at FROM users UNION ALL SELECT id, created_at FROM products
        UNION ALL SELECT id, created_at FROM audit_logs UNION ALL SELECT id, created_at FROM stock_movements
        UNION ALL SELECT id, created_at FROM order_status_changes) AS made
      WHERE substr(id::text, 15, 1) <> '7'
        OR ('x0000' || substr(replace(id::text, '-', ''), 1, 12))::bit(64)::bigint <> extract(epoch FROM created_at) * 1000`);
    expect(wrong).toEqual([]);
  });

  it('sells on: what is seeded can be found, bought, shipped, and expires', async () => {
    const [product] = dataOf(await test.anonymous.get('/api/products?q=mug&in_stock=true'));
    expect(product.name).toMatch(/ mug$/);
    const before = await stockOf(test, product.id);
    const items = [{ product_id: product.id, quantity: 1 }];
    const order = dataOf(await test.aUser().post('/api/orders', { items }));
    await bring(test, order.id, 'confirmed', 'processing');
    expect(await stockOf(test, product.id)).toEqual({
      ...before,
      available: before.available - 1,
      total: before.total - 1,
    });

    const [shipped] = await idsOf('shipped');
    await bring(test, shipped!, 'delivered');
    const [toConfirm, toExpire] = await idsOf('pending');
    await bring(test, toConfirm!, 'confirmed');
    const { reservation_id: reservation } = dataOf(await test.admin.get(`/api/orders/${toExpire}`));
    await letTimePass(test, reservation);
    expect(await test.sweep()).toBe(1);
    expect(dataOf(await test.admin.get(`/api/orders/${toExpire}`)).status).toBe('cancelled');
  });

  it('has the audit rows that the service writes, value for value of the same shape', async () => {
    await tellTheWholeStory(test);
    const shapes = (when: string): Promise<object[]> =>
      test.database.query(`
        SELECT DISTINCT action, object_type, split_part(actor, ':', 1) AS actor,
          (SELECT string_agg(key || ' ' || jsonb_typeof(value), ', ' ORDER BY key) FROM jsonb_each(old_value)) AS old,
          (SELECT string_agg(key || ' ' || jsonb_typeof(value), ', ' ORDER BY key) FROM jsonb_each(new_value)) AS new,
          (SELECT string_agg(key || ' ' || jsonb_typeof(value), ', ' ORDER BY key)
            FROM jsonb_each(new_value -> 'items' -> 0)) AS item
        FROM audit_logs WHERE ${when} ORDER BY 1, 2, 3, 4, 5`);
    const seeded = await shapes(`created_at < '${END}'`);
    expect(seeded.length).toBeGreaterThan(9);
    expect(await shapes(`created_at >= '${END}'`)).toEqual(expect.arrayContaining(seeded));
  });
});

/** Makes the service write every kind of audit row that a seed writes. */
async function tellTheWholeStory(test: TestApp): Promise<void> {
  const { admin } = test;
  const user = test.aUser();
  const credentials = { email: 'somebody.new@example.com', password: 'correct horse battery' };
  dataOf(await test.anonymous.post('/api/auth/register', credentials));
  // The service's own administrators are made at its start, under this name.
  await test.database.query(`
    INSERT INTO audit_logs SELECT gen_random_uuid(), 'system:bootstrap', action, object_type, object_id, old_value, new_value,
      request_id FROM audit_logs WHERE new_value ->> 'email' = 'somebody.new@example.com'`);
  const sale = { sku: 'STORY', name: 'Story', description: 'Of it', price: '1.00', initial_stock: 9 };
  const { id } = dataOf(await admin.post('/api/products', sale));
  dataOf(await admin.post(`/api/products/${id}/stock-adjustments`, { delta: 5, reason: 'delivery' }));
  const order = async (): Promise<{ id: string; reservation_id: string }> =>
    dataOf(await user.post('/api/orders', { items: [{ product_id: id, quantity: 1 }] }));
  const cancel = async (orderId: string): Promise<void> => {
    dataOf(await user.patch(`/api/orders/${orderId}/status`, { status: 'cancelled', reason: 'changed my mind' }));
  };
  await cancel((await order()).id);
  const confirmed = await order();
  await bring(test, confirmed.id, 'confirmed');
  await cancel(confirmed.id);
  const late = await order();
  await letTimePass(test, late.reservation_id);
  expect(await test.sweep()).toBe(1);
}
