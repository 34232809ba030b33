import { DataSource, type EntityManager } from 'typeorm';
import type { ProductsQuery } from '../../src/inventory/products/products.dto';
import { findProducts, productsQuery } from '../../src/inventory/products/product-list.query';
import { movementsQuery } from '../../src/inventory/stock/stock-movements.query';
import type { Position } from '../../src/platform/http/cursor';
import { createDatabase, type TestDatabase } from '../support/database';
import { workOf } from '../support/plans';
import { startTestApp, type TestApp } from '../support/test-app';

const PRODUCTS = 10_000;
const MOVEMENTS = 50_000;
const PAGE = 20;
/** So many of the newest are looked at first. */
const NEAR = 200;
const TABLES = ['products', 'stock_levels'];
const MAIN = '00000000-0000-7000-8000-000000000001';
const BUSY = '00000000-0000-7000-8000-000000000077';
const OTHER = '00000000-0000-7000-8000-000000000078';

/**
 * Every third is a mug, three of the oldest are zithers, of which one has a hold that is over, and some hundreds of the
 * oldest are vases. Hardly any has no stock, or hardly any has some.
 */
const makeProducts = (inactive: string): string[] => [
  `CREATE TEMP TABLE made AS
   SELECT n, ('018f' || lpad(to_hex(n::bigint), 8, '0') || '7abc8' || substr(md5(n::text), 1, 15))::uuid AS id
   FROM generate_series(1, ${PRODUCTS}) AS n`,
  `INSERT INTO products (id, sku, name, price, currency, is_active, created_at)
   SELECT id, 'SKU-' || lpad(n::text, 6, '0'),
     CASE WHEN n IN (51, 52, 60) THEN 'Old zither' WHEN n % 3 = 0 THEN 'Blue mug'
       WHEN n BETWEEN 100 AND 700 THEN 'Vase ' || n ELSE 'Box of ' || md5(n::text) END, 1, 'EUR',
     NOT (${inactive}), timestamptz '2026-01-01' + n / 2 * interval '1 minute' FROM made`,
  `INSERT INTO stock_levels (product_id, warehouse_id, available, total) SELECT id, '${MAIN}', 1, 1 FROM made`,
];
const SOLD_OUT = (which: string): string =>
  `UPDATE stock_levels SET available = 0, total = 0 FROM made WHERE id = product_id AND ${which}`;
/** Two have a hold that is over, and some have a second level, of which each other one is empty. */
const EXCEPTIONS = [
  `WITH held AS (SELECT id AS product_id, gen_random_uuid() AS id FROM made WHERE n IN (60, 100)), reservation AS (
     INSERT INTO reservations (id, user_id, status, expires_at, total_amount, currency)
     SELECT id, id, 'active', statement_timestamp() - interval '1 minute', 1, 'EUR' FROM held)
   INSERT INTO reservation_items (reservation_id, user_id, product_id, warehouse_id, quantity, unit_price)
   SELECT id, id, product_id, '${MAIN}', 1, 1 FROM held`,
  `INSERT INTO warehouses (id, code, name) VALUES ('${OTHER}', 'OTHER', 'Other') ON CONFLICT DO NOTHING`,
  `INSERT INTO stock_levels (product_id, warehouse_id, available, total)
   SELECT id, '${OTHER}', n % 2, n % 2 FROM made WHERE n BETWEEN 61 AND 66`,
];

/** Half of them are the busy product's; several are of one moment. */
const MOVE = `
  INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after,
    reserved_after, actor, request_id, created_at)
  SELECT gen_random_uuid(), CASE WHEN n % 2 = 0 THEN '${BUSY}' ELSE md5((n % 97)::text) END::uuid, '${MAIN}', 'adjustment',
    1, 0, n, 0, 'user:x', gen_random_uuid(), timestamptz '2026-01-01' + n / 5 * interval '1 second'
  FROM generate_series(1, ${MOVEMENTS}) AS n`;

interface Seen extends Position {
  sku: string;
  name: string;
  is_active: boolean;
  in_stock: boolean;
}

describe('The plan of a page', () => {
  let database: TestDatabase;
  let test: TestApp;
  let manager: EntityManager;
  beforeAll(async () => {
    database = await createDatabase();
    test = await startTestApp({}, database);
    manager = test.app.get(DataSource).manager;
  });
  afterAll(async () => {
    await test.close();
    await database.drop();
  });

  describe.each([
    ['all are active and in stock, but for some of the oldest', 'n BETWEEN 51 AND 90', 'n BETWEEN 71 AND 90'],
    ['none is active or in stock, but some of the oldest', 'n NOT BETWEEN 51 AND 90', 'n NOT BETWEEN 71 AND 90'],
  ])('of products, where %s', (_, soldOut, inactive) => {
    let all: Seen[];
    beforeAll(async () => {
      const runner = await database.pool.connect();
      const changes = [SOLD_OUT(soldOut), ...EXCEPTIONS, 'DROP TABLE made'];
      for (const sql of ['TRUNCATE products CASCADE', ...makeProducts(inactive), ...changes]) {
        await runner.query(sql);
      }
      runner.release();
      await database.query(`VACUUM ANALYZE ${TABLES.join()}`);
      all = await database.query<Seen>(
        `SELECT id, sku, name, is_active, id IN (
             SELECT product_id FROM stock_levels WHERE available > 0 UNION ALL SELECT product_id FROM reservation_items) AS in_stock,
           to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS value
         FROM products ORDER BY created_at DESC, id DESC`,
      );
    }, 60_000);

    const texts = ['ZITHER', 'mug', 'vase', 'SKU-0000', 'th', 'nothing'];
    const combinations = [undefined, ...texts].flatMap((q) =>
      [undefined, true, false].flatMap((in_stock) =>
        [undefined, true].map((include_inactive) => ({ q, in_stock, include_inactive, limit: PAGE })),
      ),
    );
    const matches = ({ q, in_stock, include_inactive }: ProductsQuery, one: Seen): boolean =>
      (q === undefined || `${one.sku} ${one.name}`.toLowerCase().includes(q.toLowerCase())) &&
      (in_stock === undefined || one.in_stock === in_stock) &&
      (include_inactive === true || one.is_active);

    /**
     * However many products there are: the page itself or, with a state, some of the newest, and a look at each, and those
     * that are overdue. A text that is rare and has three letters has an index, which finds some others as well; any other
     * may be looked for everywhere.
     */
    const mostRowsOf = (query: ProductsQuery, after: Position | undefined): number => {
      const { q, in_stock: state } = query;
      const next = all.slice(all.findIndex(({ id }) => id === after?.id) + 1);
      const newest = next.filter((one) => matches({ ...query, in_stock: undefined }, one)).slice(0, NEAR);
      const isFilled = newest.length < NEAR || newest.filter((one) => matches(query, one)).length > PAGE;
      const having = all.filter((one) => matches({ q, include_inactive: true, limit: PAGE }, one)).length;
      if (q === undefined && isFilled) {
        return state === undefined ? PAGE + 1 : 3 * NEAR + 20;
      }
      if (q !== undefined && q !== 'th' && having < PRODUCTS / 100) {
        return PRODUCTS / 5;
      }
      return 4 * PRODUCTS;
    };

    it('reads few of them where it can, and all of them at most once for each condition', async () => {
      for (const query of combinations) {
        const expected = all.filter((one) => matches(query, one));
        for (const after of [undefined, expected[3 * PAGE], expected.at(-5)]) {
          const { endToEnd, rows } = await workOf(manager, productsQuery(query, after), TABLES);
          const most = mostRowsOf(query, after);
          const isFlat = most < PRODUCTS;
          expect({ query, after, endToEnd: isFlat ? endToEnd : [], tooMany: rows > most && rows }).toEqual({
            ...{ query, after, endToEnd: [], tooMany: false },
          });
        }
      }
    });

    it('is what it has to be: the first two, one in the middle, the last', async () => {
      for (const query of combinations) {
        const expected = all.filter((one) => matches(query, one)).map(({ id }) => id);
        const starts = [0, PAGE, Math.floor(expected.length / 2), expected.length - 5, expected.length];
        for (const start of starts.filter((one) => one >= 0 && one <= expected.length)) {
          const after = all.find(({ id }) => id === expected[start - 1]);
          const found = (await findProducts(manager, query, after)).map(({ id }) => id);
          expect({ query, start, found }).toEqual({ query, start, found: expected.slice(start, start + PAGE + 1) });
        }
      }
    });
  });

  it('of the movements of a busy product reads nothing but itself, also far from the first', async () => {
    await database.query(MOVE);
    await database.query('ANALYZE stock_movements');
    const far = await database.query<Position>(
      `SELECT id, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS value FROM stock_movements
       WHERE product_id = $1 ORDER BY created_at DESC, id DESC OFFSET ${MOVEMENTS / 2 - 100} LIMIT ${PAGE + 1}`,
      [BUSY],
    );
    for (const after of [undefined, far[0]]) {
      const query = movementsQuery(manager, BUSY, PAGE, after);
      const [text, values] = query.getQueryAndParameters();
      expect(await workOf(manager, { text, values }, ['stock_movements'])).toEqual({ endToEnd: [], rows: PAGE });
    }
    const found = await movementsQuery(manager, BUSY, PAGE, far[0]).getMany();
    expect(found.map(({ id }) => id)).toEqual(far.slice(1).map(({ id }) => id));
  });
});
