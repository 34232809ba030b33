import { DataSource, type EntityManager } from 'typeorm';
import { combinationsOf, type Past } from '../../bench/order-queries';
import { type OrderFilters, selectOrders } from '../../src/orders/orders.query';
import type { Position } from '../../src/platform/http/cursor';
import { createDatabase, type TestDatabase } from '../support/database';
import { SeedProgram } from '../support/seeds';
import { startTestApp, type TestApp } from '../support/test-app';

const ORDERS = 50_000;
const PAGE = 20;
/** A statement that has to sort by one column what is rare in another reads this many at most, however large the table. */
const MOST_ROWS = 200 * PAGE;
const INDEXED = /^(Index|Index Only|Bitmap Heap) Scan$/;

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  Plans?: Plan[];
}

/** The nodes of a plan that read rows of the table `orders`. */
function scansOf(plan: Plan): Plan[] {
  const own = plan['Relation Name'] === 'orders' ? [plan] : [];
  return [...own, ...(plan.Plans ?? []).flatMap(scansOf)];
}

function rowsRead(scan: Plan): number {
  const removed = (scan['Rows Removed by Filter'] ?? 0) + (scan['Rows Removed by Index Recheck'] ?? 0);
  return (scan['Actual Rows'] + removed) * scan['Actual Loops'];
}

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
    const seed = await SeedProgram.compile();
    await seed.run(database, ['--orders', String(ORDERS), '--months', '12', '--end', '2026-11-01']);
    await seed.remove();
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

  const planOf = async (filters: OrderFilters, after?: Position): Promise<Plan> => {
    const [sql, values] = selectOrders(manager, filters, PAGE + 1, after).getQueryAndParameters();
    const [row] = await manager.query<{ 'QUERY PLAN': [{ Plan: Plan }] }[]>(
      `EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`,
      values,
    );
    return row!['QUERY PLAN'][0].Plan;
  };

  const expectFlat = async (query: string, user: object = {}): Promise<void> => {
    const scans = scansOf(await planOf({ ...filtersOf(query), ...user }));
    const found = { query, scans: scans.map((scan) => scan['Node Type']), rows: sum(scans.map(rowsRead)) };
    expect(found.scans.length).toBeGreaterThan(0);
    expect(found).toEqual({ query, scans: scans.map(() => expect.stringMatching(INDEXED)), rows: expect.any(Number) });
    expect(found.rows > MOST_ROWS ? found : undefined).toBeUndefined();
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

  it('is as good on a page far from the first', async () => {
    for (const sort of ['newest', 'oldest', 'highest_value', 'lowest_value'] as const) {
      const [value, direction] = sort.endsWith('value')
        ? ['total_amount', sort === 'highest_value' ? 'DESC' : 'ASC']
        : ['created_at', sort === 'newest' ? 'DESC' : 'ASC'];
      const [after] = await database.query<Position>(
        `SELECT ${value}::text AS value, id FROM orders ORDER BY ${value} ${direction}, id ${direction} OFFSET 40000 LIMIT 1`,
      );
      const scans = scansOf(await planOf({ sort }, after));
      expect({ sort, rows: sum(scans.map(rowsRead)) }).toEqual({ sort, rows: PAGE + 1 });
    }
  });
});

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
