import { log } from '../../src/platform/logging/logger';
import type { Api } from '../support/api';
import { rowCounts } from '../support/database';
import {
  anOrder,
  aProduct,
  aReservation,
  dataOf,
  expectReconciled,
  letTimePass,
  overdueHolds,
  stockOf,
} from '../support/factories';
import { storm, tally, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const SYSTEM = 'system:reservation-expiry';

describe('The sweep', () => {
  let test: TestApp;
  let admin: Api;
  beforeAll(async () => {
    test = await startTestApp();
    admin = test.admin;
  });
  // What one test leaves overdue must not be counted by the next.
  afterEach(async () => {
    await test.sweep();
    await expectReconciled(test);
  });
  afterAll(() => test.close());

  async function anOverdue(productId: string, quantity = 1): Promise<string> {
    const { id } = await aReservation(test.aUser(), productId, { quantity });
    await letTimePass(test, id);
    return id;
  }

  async function countOf(productId: string, status: string): Promise<number> {
    const [row] = await test.database.query<{ count: number }>(
      `SELECT count(*)::int FROM reservations JOIN reservation_items ON reservation_id = id WHERE product_id = $1 AND status = $2`,
      [productId, status],
    );
    return row!.count;
  }

  /** Runs an attempt while another transaction holds these rows, and lets them go afterwards. */
  async function whileHeld<T>(table: 'orders' | 'reservations', ids: string[], attempt: () => Promise<T>): Promise<T> {
    const client = await test.database.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query(`SELECT FROM ${table} WHERE id = ANY($1) FOR UPDATE`, [ids]);
      return await attempt();
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  }

  it('expires exactly the holds whose time is over, and gives their stock back', async () => {
    const { id: product } = await aProduct(test);
    const overdue = [await anOverdue(product, 2), await anOverdue(product, 3)];
    const active = await aReservation(test.aUser(), product, { quantity: 4 });
    expect(await test.sweep()).toBe(2);
    expect([await countOf(product, 'expired'), await countOf(product, 'active')]).toEqual([2, 1]);
    expect(await stockOf(test, product)).toEqual({ available: 6, reserved: 4, total: 10 });
    expect(dataOf(await admin.get(`/api/reservations/${active.id}`)).status).toBe('active');
    const movements = dataOf(await admin.get(`/api/products/${product}/stock-movements`)).filter(
      ({ kind }: { kind: string }) => kind === 'expire',
    );
    expect(new Set(movements.map((row: { reservation_id: string }) => row.reservation_id))).toEqual(new Set(overdue));
    expect(movements).toEqual([expect.objectContaining({ actor: SYSTEM }), expect.objectContaining({ actor: SYSTEM })]);
    for (const id of overdue) {
      const [row] = dataOf(await admin.get(`/api/audit-logs?object_id=${id}`));
      expect(row).toMatchObject({
        action: 'reservation.expired',
        actor: SYSTEM,
        old_value: { status: 'active' },
        new_value: { status: 'expired' },
      });
      expect(row.request_id).toBe(movements[0].request_id);
    }
  });

  it('cancels the pending order behind an expired hold', async () => {
    const { id: product } = await aProduct(test);
    const user = test.aUser();
    const order = await anOrder(user, product, 3);
    await letTimePass(test, order.reservation_id);
    expect(await test.sweep()).toBe(1);
    expect(dataOf(await user.get(`/api/orders/${order.id}`))).toMatchObject({
      status: 'cancelled',
      version: order.version + 1,
    });
    expect(dataOf(await user.get(`/api/orders/${order.id}/history`))).toMatchObject([
      { from: 'pending', to: 'cancelled', actor: SYSTEM },
    ]);
    const [row] = dataOf(await admin.get(`/api/audit-logs?object_id=${order.id}`));
    expect(row).toMatchObject({
      action: 'order.status_changed',
      actor: SYSTEM,
      old_value: { status: 'pending' },
      new_value: { status: 'cancelled' },
    });
    expect(await stockOf(test, product)).toEqual({ available: 10, reserved: 0, total: 10 });
  });

  it('finds nothing the second time, and writes nothing', async () => {
    await anOverdue((await aProduct(test)).id);
    expect(await test.sweep()).toBe(1);
    const before = await rowCounts(test.database);
    expect(await test.sweep()).toBe(0);
    expect(await rowCounts(test.database)).toEqual(before);
  });

  it('leaves alone what was committed or cancelled in time', async () => {
    const { id: product } = await aProduct(test);
    const user = test.aUser();
    for (const end of ['commit', 'cancel']) {
      const { id } = await aReservation(user, product);
      dataOf(await user.post(`/api/reservations/${id}/${end}`));
      await letTimePass(test, id);
    }
    expect(await test.sweep()).toBe(0);
    expect([await countOf(product, 'committed'), await countOf(product, 'cancelled')]).toEqual([1, 1]);
  });

  it('shares the work with another process that sweeps at once, and each hold expires once', async () => {
    const other = await startTestApp({}, test.database);
    try {
      const { id: product } = await aProduct(test, { initial_stock: 1000 });
      await overdueHolds(test, [product], 1000);
      // Both wait for the level, so both have holds in their hands.
      const lock = { sql: 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE', values: [product], waiters: 2 };
      const shares = await whileLocked(test.database, lock, () => Promise.all([test.sweep(), other.sweep()]));
      expect(Math.min(...shares)).toBeGreaterThan(0);
      expect(shares[0] + shares[1]).toBe(1000);
      expect(await countOf(product, 'expired')).toBe(1000);
      const [row] = await test.database.query(
        `SELECT count(*)::int AS rows, count(DISTINCT reservation_id)::int AS reservations FROM stock_movements WHERE product_id = $1 AND kind = 'expire'`,
        [product],
      );
      expect(row).toEqual({ rows: 1000, reservations: 1000 });
      expect(await stockOf(test, product)).toEqual({ available: 1000, reserved: 0, total: 1000 });
    } finally {
      await other.close();
    }
  });

  it('expires what comes after a whole batch that another transaction works on', async () => {
    const { id: product } = await aProduct(test, { initial_stock: 250 });
    await overdueHolds(test, [product], 250);
    const [row] = await test.database.query<{ ids: string[] }>(
      `SELECT array_agg(id) AS ids FROM (SELECT id FROM reservations JOIN reservation_items ON reservation_id = id
         WHERE product_id = $1 ORDER BY expires_at, id LIMIT 200) AS batch`,
      [product],
    );
    expect(await whileHeld('reservations', row!.ids, () => test.sweep())).toBe(50);
    expect(await test.sweep()).toBe(200);
  });

  it('leaves a hold that cannot be expired, run after run, and expires all the others', async () => {
    const [{ id: poisoned }, { id: product }] = [await aProduct(test), await aProduct(test, { initial_stock: 250 })];
    // Overdue for longer than the others: it comes first, and is in a batch with many of them.
    await anOverdue(poisoned);
    await overdueHolds(test, [product], 250);
    const keepReserved = (pieces: number): Promise<object[]> =>
      test.database.query('UPDATE stock_levels SET reserved = $2::int, total = available + $2 WHERE product_id = $1', [
        poisoned,
        pieces,
      ]);
    // Giving back one piece of none would make it -1.
    await keepReserved(0);
    const level = log.level;
    log.level = 'silent';
    try {
      expect([await test.sweep(), await test.sweep()]).toEqual([250, 0]);
      expect([await countOf(product, 'expired'), await countOf(poisoned, 'active')]).toEqual([250, 1]);
    } finally {
      log.level = level;
      await keepReserved(1);
    }
    expect(await test.sweep()).toBe(1);
  });

  it('skips a hold that another transaction works on, and comes back for it', async () => {
    const { id: product } = await aProduct(test);
    const [held] = [await anOverdue(product), await anOverdue(product), await anOverdue(product)];
    expect(await whileHeld('reservations', [held], () => test.sweep())).toBe(2);
    expect(await countOf(product, 'active')).toBe(1);
    expect(await test.sweep()).toBe(1);
  });

  it('skips a hold whose order another transaction works on, and comes back for it', async () => {
    const { id: product } = await aProduct(test);
    const user = test.aUser();
    const [held, free] = [await anOrder(user, product), await anOrder(user, product)];
    await letTimePass(test, held.reservation_id);
    await letTimePass(test, free.reservation_id);
    expect(await whileHeld('orders', [held.id], () => test.sweep())).toBe(1);
    const pending = async (): Promise<string[]> =>
      dataOf(await user.get('/api/orders?status=pending')).map(({ id }: { id: string }) => id);
    expect(await pending()).toEqual([held.id]);
    expect(await test.sweep()).toBe(1);
    expect(await pending()).toEqual([]);
  });

  it('copes with holds of very many items', async () => {
    const products = await Promise.all(Array.from({ length: 40 }, () => aProduct(test, { initial_stock: 200 })));
    const ids = products.map(({ id }) => id);
    await overdueHolds(test, ids, 200);
    expect(await test.sweep()).toBe(200);
    expect(await stockOf(test, ids[0]!)).toEqual({ available: 200, reserved: 0, total: 200 });
  });

  it('is not needed by a reservation that reclaims more holds than a batch has', async () => {
    const { id: product_id } = await aProduct(test, { initial_stock: 450 });
    await overdueHolds(test, [product_id], 450);
    expect((await test.aUser().post('/api/reservations', { product_id, quantity: 450 })).status).toBe(201);
    expect(await countOf(product_id, 'expired')).toBe(450);
  });

  it('is not needed by many who reclaim at once: as many get theirs as there is stock, and the rest are told the truth', async () => {
    const { id: product_id } = await aProduct(test, { initial_stock: 900 });
    await overdueHolds(test, [product_id], 900);
    const replies = await storm(6, () => test.aUser().post('/api/reservations', { product_id, quantity: 250 }));
    expect(tally(replies)).toEqual({ '201': 3, '409 insufficient_stock': 3 });
    for (const { body } of replies.filter(({ status }) => status === 409)) {
      expect(body.shortages).toEqual([{ product_id, requested: 250, available: 150 }]);
    }
    expect(await countOf(product_id, 'expired')).toBe(900);
    expect(await stockOf(test, product_id)).toEqual({ available: 150, reserved: 750, total: 900 });
  });

  it('ends 10 000 overdue holds in one run, and lets others reserve the same product meanwhile', async () => {
    const { id: product_id } = await aProduct(test, { initial_stock: 20_000 });
    await overdueHolds(test, [product_id], 10_000);
    await expectReconciled(test);
    let isRunning = true;
    const sweeping = test.sweep().finally(() => {
      isRunning = false;
    });
    let made = 0;
    const seen = new Set<number>();
    while (isRunning) {
      expect((await test.aUser().post('/api/reservations', { product_id, quantity: 1 })).status).toBe(201);
      made += 1;
      seen.add(await countOf(product_id, 'expired'));
    }
    expect(await sweeping).toBe(10_000);
    // Several states between none and all: the run was not one transaction.
    expect([...seen].filter((expired) => expired > 0 && expired < 10_000).length).toBeGreaterThan(1);
    expect([await countOf(product_id, 'expired'), await countOf(product_id, 'active')]).toEqual([10_000, made]);
    expect(await stockOf(test, product_id)).toEqual({ available: 20_000 - made, reserved: made, total: 20_000 });
  }, 60_000);
});
