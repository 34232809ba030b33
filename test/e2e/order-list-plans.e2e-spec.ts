import { Client } from 'pg';
import { DataSource, type EntityManager } from 'typeorm';
import { combinationsOf, type Past } from '../../bench/order-queries';
import type { Order } from '../../src/orders/order.entity';
import { ORDER_STATUSES } from '../../src/orders/order-state';
import { findOrders, type OrderFilters, ordersQuery } from '../../src/orders/order-list.query';
import type { Position } from '../../src/platform/http/cursor';
import { createDatabase, type TestDatabase } from '../support/database';
import { preparedWorkOf, type Work, workOf } from '../support/plans';
import { startTestApp, type TestApp } from '../support/test-app';

const ORDERS = 20_000;
const PAGE = 20;
/** What it takes at most, however large the table: to count what is in a range, and to sort that or to look for it. */
const MOST_ROWS = 300 * PAGE;

/** A year of a shop, in which columns hang together: what is new is hardly ever delivered, what is dear is rare. */
const MAKE = `
  WITH numbered AS (
    SELECT n, ('x' || substr(md5(n::text), 1, 8))::bit(32)::bigint / 4294967296.0 AS chance, ${ORDERS} - n AS newer
    FROM generate_series(1, ${ORDERS}) AS n)
  INSERT INTO orders (id, user_id, status, total_amount, currency, reservation_id, created_at)
  SELECT md5('order' || n)::uuid,
    md5('user' || CASE WHEN n % 1000 = 1 THEN -n ELSE n % 700 END)::uuid,
    CASE WHEN chance < 0.08 THEN 'cancelled' WHEN newer < 40 THEN 'pending' WHEN newer < 100 THEN 'confirmed'
      WHEN newer < 200 THEN 'processing' WHEN newer < 600 THEN 'shipped' ELSE 'delivered' END,
    round((4 + 3 * exp(8 * chance ^ 4))::numeric, 1), 'EUR', md5('reservation' || n)::uuid,
    timestamptz '2026-11-01' - newer * interval '26 minutes'
  FROM numbered`;

/** As the query of a request is parsed. */
function filtersOf(query: string): OrderFilters {
  const { status, ...others } = Object.fromEntries(new URLSearchParams(query));
  return { sort: 'newest', ...others, ...(status && { status: status.split(',') }) } as OrderFilters;
}

describe('The plan of a page of orders', () => {
  let database: TestDatabase;
  let test: TestApp;
  let manager: EntityManager;
  let past: Past;
  beforeAll(async () => {
    database = await createDatabase();
    await database.query(MAKE);
    // A reseller, who made every second order until a quarter of a year ago.
    await database.query(`
      UPDATE orders SET user_id = md5('reseller')::uuid WHERE id IN (SELECT id FROM (
        SELECT id, row_number() OVER (ORDER BY created_at) AS number FROM orders) AS numbered WHERE number % 2 = 0 AND number < ${0.75 * ORDERS})`);
    await database.query('VACUUM ANALYZE orders');
    test = await startTestApp({}, database);
    manager = test.app.get(DataSource).manager;
    [past] = (await database.query<Past>(
      `SELECT percentile_disc(0.1) WITHIN GROUP (ORDER BY total_amount) AS low,
         percentile_disc(0.5) WITHIN GROUP (ORDER BY total_amount) AS middle,
         percentile_disc(0.999) WITHIN GROUP (ORDER BY total_amount) AS rare,
         min(created_at) AS first, max(created_at) AS last FROM orders`,
    )) as [Past];
  }, 120_000);
  afterAll(async () => {
    await test.close();
    await database.drop();
  });

  const workFor = (filters: OrderFilters, after?: Position): Promise<Work[]> => {
    const page = ordersQuery(filters, { count: PAGE + 1, after });
    return Promise.all([workOf, preparedWorkOf].map((work) => work(manager, page, ['orders'])));
  };

  const expectFlat = async (query: string, user: object = {}): Promise<void> => {
    const works = await workFor({ ...filtersOf(query), ...user });
    const tooMuch = works.filter((work) => work.endToEnd.length > 0 || work.rows > MOST_ROWS);
    expect({ query, tooMuch }).toEqual({ query, tooMuch: [] });
  };

  it('reads no table from end to end, and few rows, for every status, date range, total range and sort', async () => {
    for (const query of combinationsOf(past)) {
      await expectFlat(query);
    }
  });

  it.each([
    ['the customer with the most orders', 'DESC'],
    ['a customer with one order', 'ASC'],
  ])('is as good for %s', async (_, direction) => {
    const [customer] = await database.query<{ user_id: string }>(
      `SELECT user_id FROM orders GROUP BY user_id ORDER BY count(*) ${direction} LIMIT 1`,
    );
    for (const query of combinationsOf(past)) {
      await expectFlat(query, customer);
    }
  });

  it('gives the first two pages that it has to, whichever way it takes', async () => {
    const all = await database.query<Seen>(
      'SELECT id, status, (total_amount * 100)::int AS cents, created_at FROM orders',
    );
    for (const query of combinationsOf(past)) {
      const filters = filtersOf(query);
      const pageAfter = (after?: Position): Promise<Order[]> =>
        findOrders(manager, filters, { count: PAGE, after }, false);
      const first = await pageAfter();
      const last = first.at(-1);
      const value = filters.sort.endsWith('value') ? last?.totalAmount : last?.createdAt.toISOString();
      const second = last ? await pageAfter({ value: value!, id: last.id }) : [];
      const shown = [...first, ...second].map(({ id }) => id);
      expect({ query, shown }).toEqual({ query, shown: expectedOf(all, filters).slice(0, 2 * PAGE) });
    }
  });

  it('is as good on a page far from the first', async () => {
    for (const sort of ['newest', 'oldest', 'highest_value', 'lowest_value'] as const) {
      const [value, direction] = sort.endsWith('value')
        ? ['total_amount', sort === 'highest_value' ? 'DESC' : 'ASC']
        : ['created_at', sort === 'newest' ? 'DESC' : 'ASC'];
      const [after] = await database.query<Position>(
        `SELECT ${value}::text AS value, id FROM orders ORDER BY ${value} ${direction}, id ${direction} OFFSET 15000 LIMIT 1`,
      );
      for (const { rows } of await workFor({ sort }, after)) {
        expect(rows).toBeGreaterThan(PAGE);
        expect(rows).toBeLessThanOrEqual((ORDER_STATUSES.length + 1) * (PAGE + 1));
      }
    }
  });
});

/** A plan that was made for few orders would read all of them when they have become many, until PostgreSQL counts again. */
describe('The plan of a page of orders is kept', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ DATABASE_POOL_SIZE: '1' });
  });
  afterAll(() => test.close());

  const kept = async (): Promise<number> => {
    const statements = await test.app
      .get(DataSource)
      .query<object[]>(`SELECT FROM pg_prepared_statements WHERE statement LIKE '%order_items%'`);
    return statements.length;
  };
  const ask = (query = ''): Promise<unknown> => test.admin.get(`/api/orders${query}`);

  it('from ten thousand on, if it is of the usual length', async () => {
    await ask();
    await ask();
    await test.database.query(`
      INSERT INTO orders (id, user_id, status, total_amount, currency, reservation_id)
      SELECT gen_random_uuid(), gen_random_uuid(), 'pending', 1, 'EUR', gen_random_uuid() FROM generate_series(1, 10000)`);
    await ask();
    expect(await kept()).toBe(0);
    await test.database.query('ANALYZE orders');
    await ask();
    await ask('?limit=21');
    expect(await kept()).toBe(0);
    await ask('?min_total=1');
    const statements = jest.spyOn(Client.prototype, 'query');
    try {
      await ask('?max_total=1&status=pending');
      expect(statements).toHaveBeenCalledTimes(1);
    } finally {
      statements.mockRestore();
    }
    expect(await kept()).toBe(1);
  });
});

interface Seen {
  id: string;
  status: string;
  cents: number;
  created_at: Date;
}

/** What a page has to be, found out by looking at every order. */
function expectedOf(all: readonly Seen[], { status, sort, ...range }: OrderFilters): string[] {
  const cents = (total: string): number => Math.round(Number(total) * 100);
  const [from, to] = [new Date(range.start_date ?? 0), new Date(range.end_date ?? '2100-01-01')];
  const [least, most] = [cents(range.min_total ?? '0'), cents(range.max_total ?? '1000000000')];
  const matches = all
    .filter((order) => status?.some((one) => one === order.status) ?? true)
    .filter((order) => order.created_at >= from && order.created_at <= to)
    .filter((order) => order.cents >= least && order.cents <= most);
  const value = (order: Seen): number => (sort.endsWith('value') ? order.cents : order.created_at.getTime());
  const up = sort === 'oldest' || sort === 'lowest_value' ? 1 : -1;
  const byId = (left: Seen, right: Seen): number => (left.id < right.id ? -1 : 1);
  return matches.sort((left, right) => up * (value(left) - value(right) || byId(left, right))).map(({ id }) => id);
}
