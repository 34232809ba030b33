import { DataSource, type EntityManager } from 'typeorm';
import type { ReservationFilters } from '../../src/inventory/reservations/reservation-list.query';
import { RESERVATION_STATUSES, type ReservationStatus } from '../../src/inventory/reservations/reservation.entity';
import { findReservations, reservationsQuery } from '../../src/inventory/reservations/reservations.query';
import { typeormOptions } from '../../src/platform/database/typeorm-options';
import { createDatabase, type TestDatabase } from '../support/database';
import { workOf } from '../support/plans';

const RESERVATIONS = 20_000;
const TABLES = ['reservations', 'reservation_items'];
const PAGE = 20;

const idOf = (n: number): string => `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
const [HOT, OTHER, MACHINE, BUYER, STRANGER] = [1, 2, 3, 4, 5].map(idOf) as [string, string, string, string, string];

/**
 * Every second one is of the hot product, every fourth of the machine, which takes all products alike. Every sixteenth is
 * of the buyer, who hardly ever takes the hot product: some far apart, and one of each status.
 */
const MAKE = [
  `CREATE TEMP TABLE made AS
   SELECT n, ('018f' || lpad(to_hex(n::bigint * 16), 8, '0') || '7abc8' || substr(md5(n::text), 1, 15))::uuid AS id,
     CASE WHEN n % 8 IN (0, 3) THEN '${MACHINE}' WHEN n % 16 = 5 THEN '${BUYER}' ELSE md5((n % 5000)::text) END::uuid AS user_id,
     CASE WHEN n % 2 = 0 OR n IN (101, 213, 309, 421) OR n % 8000 = 5 THEN '${HOT}' WHEN n % 40 = 1 THEN '${OTHER}'
       ELSE md5((n % 97)::text) END::uuid AS product_id
   FROM generate_series(1, ${RESERVATIONS}) AS n`,
  `INSERT INTO reservations (id, user_id, status, expires_at, total_amount, currency)
   SELECT id, user_id, 'committed', '2099-01-01', 1, 'EUR' FROM made`,
  // Some come from two warehouses, some are for two products.
  `INSERT INTO reservation_items (reservation_id, user_id, product_id, warehouse_id, quantity, unit_price)
   SELECT id, user_id, product_id, '${idOf(1)}'::uuid, 1, 1 FROM made
   UNION ALL SELECT id, user_id, product_id, '${idOf(2)}'::uuid, 1, 1 FROM made WHERE n % 7 = 0
   UNION ALL SELECT id, user_id, '${idOf(99)}'::uuid, '${idOf(2)}'::uuid, 1, 1 FROM made WHERE n % 11 = 0`,
];

/** Rare endings lie at the far end of the list, and few of them are the hot product's or the machine's. */
const endSome = (status: string, expiresAt: string, which: string): string =>
  `UPDATE reservations SET status = '${status}', expires_at = '${expiresAt}' FROM made
   WHERE made.id = reservations.id AND ${which}`;
const RARE = [
  endSome('cancelled', '2099-01-01', 'n BETWEEN 101 AND 200 AND (n % 2 = 1 OR n % 25 = 0)'),
  endSome('expired', '2020-01-01', 'n BETWEEN 201 AND 300 AND (n % 2 = 1 OR n % 25 = 0)'),
  endSome('active', '2099-01-01', 'n BETWEEN 301 AND 400 AND (n % 2 = 1 OR n % 25 = 0)'),
  endSome('active', '2020-01-01', 'n BETWEEN 401 AND 500 AND (n % 2 = 1 OR n % 25 = 0)'),
];
/** Much is held and much is overdue, all of it new; none of the hot product is held. */
const MANY = [
  ...RARE.slice(0, 2),
  endSome('active', '2099-01-01', `n > ${RESERVATIONS - 2000} AND n % 2 = 1`),
  endSome('active', '2020-01-01', `n > ${RESERVATIONS - 2000} AND n % 2 = 0`),
];
interface Seen {
  id: string;
  user_id: string;
  status: ReservationStatus;
  stored: ReservationStatus;
  products: string[];
}

/** As they read, newest first. */
const ALL = `
  SELECT id, user_id, status AS stored, CASE WHEN status = 'active' AND expires_at < now() THEN 'expired' ELSE status END AS status,
    (SELECT array_agg(DISTINCT product_id::text) FROM reservation_items WHERE reservation_id = id) AS products
  FROM reservations ORDER BY id DESC`;

const COMBINATIONS: ReservationFilters[] = [undefined, MACHINE, BUYER, STRANGER].flatMap((userId) =>
  [undefined, HOT, OTHER, idOf(99), STRANGER].flatMap((productId) =>
    [undefined, ...RESERVATION_STATUSES].map((status) => ({ userId, productId, status })),
  ),
);

describe.each([
  ['little is held or overdue', RARE],
  ['much is held and overdue', MANY],
])('The plan of a page of reservations, while %s', (_, changes) => {
  let database: TestDatabase;
  let dataSource: DataSource;
  let manager: EntityManager;
  let all: Seen[];
  beforeAll(async () => {
    database = await createDatabase();
    dataSource = await new DataSource(typeormOptions(database.url)).initialize();
    manager = dataSource.manager;
    const runner = await database.pool.connect();
    const run = async (...statements: string[]): Promise<void> => {
      for (const sql of statements) {
        await runner.query(sql);
      }
    };
    await run(...TABLES.map((table) => `ALTER TABLE ${table} SET (autovacuum_enabled = off)`), ...MAKE);
    // What the planner knows: that everything was committed, always. Then it is not so any more.
    await run(...TABLES.map((table) => `VACUUM ANALYZE ${table}`), ...changes);
    runner.release();
    all = await database.query<Seen>(ALL);
  }, 60_000);
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  const isOf =
    ({ userId, productId }: ReservationFilters) =>
    (one: Seen): boolean =>
      (userId === undefined || one.user_id === userId) && (productId === undefined || one.products.includes(productId));
  const seenOf = (filters: ReservationFilters): Seen[] =>
    all.filter(isOf(filters)).filter(({ status }) => filters.status === undefined || status === filters.status);
  const expectedOf = (filters: ReservationFilters): string[] => seenOf(filters).map(({ id }) => id);

  const positionAt = (id: string | undefined): { value: string; id: string } | undefined =>
    id === undefined ? undefined : { value: id, id };

  /** Those that stand before the end of the page in the range that it is looked for in. */
  const inRange = (filters: ReservationFilters, after = 'g'): number => {
    const { userId, productId, status } = filters;
    const last = expectedOf(filters).filter((id) => id < after)[PAGE] ?? '';
    const isByStatus = productId === undefined || (userId === undefined && status === 'active');
    const range = isByStatus
      ? all.filter(isOf({ userId })).filter(({ stored }) => stored === (status ?? stored))
      : all.filter(isOf(filters));
    return range.filter(({ id }) => id < after && id >= last).length;
  };
  /** Each of them, its reservation or its items; and the page, of each status, from the index and then from the table. */
  const mostRowsOf = (filters: ReservationFilters, after?: string): number => {
    const overdue = filters.status === 'expired' ? all.filter(({ status, stored }) => status !== stored).length : 0;
    return 4 * inRange(filters, after) + 6 * (PAGE + 1) + overdue;
  };

  it.each([
    ['knows nothing of what is rare', []],
    ['knows it all', TABLES.map((table) => `VACUUM ANALYZE ${table}`)],
  ])('reads nothing but a range, as far as the page goes, when the planner %s', async (_knowledge, statements) => {
    for (const sql of statements) {
      await database.query(sql);
    }
    const far = all[Math.floor(all.length * 0.9)]!.id;
    for (const filters of COMBINATIONS) {
      for (const after of [undefined, far]) {
        const { endToEnd, rows } = await workOf(
          manager,
          reservationsQuery(filters, PAGE + 1, positionAt(after)),
          TABLES,
        );
        const most = mostRowsOf(filters, after);
        expect({ filters, after, endToEnd, tooMany: rows > most && { rows, most } }).toEqual({
          ...{ filters, after, endToEnd: [], tooMany: false },
        });
      }
    }
  });

  it('gives the pages that it has to: the first two, one in the middle, the last', async () => {
    for (const filters of COMBINATIONS) {
      const expected = expectedOf(filters);
      const starts = [0, PAGE, Math.floor(expected.length / 2), expected.length - 5, expected.length];
      for (const start of starts.filter((one) => one >= 0 && one <= expected.length)) {
        const found = await findReservations(manager, filters, PAGE, positionAt(expected[start - 1]));
        expect({ filters, start, shown: found.map(({ id }) => id) }).toEqual({
          ...{ filters, start, shown: expected.slice(start, start + PAGE) },
        });
      }
    }
  });
});
