import { DataSource, type EntityManager } from 'typeorm';
import type { ReservationFilters } from '../../src/inventory/reservations/reservation-list.query';
import { RESERVATION_STATUSES, type ReservationStatus } from '../../src/inventory/reservations/reservation.entity';
import { findReservations, reservationsQuery } from '../../src/inventory/reservations/reservations.query';
import { typeormOptions } from '../../src/platform/database/typeorm-options';
import { createDatabase, type TestDatabase } from '../support/database';
import { workOf } from '../support/plans';

const RESERVATIONS = 50_000;
const TABLES = ['reservations', 'reservation_items', 'stock_movements'];
const PAGE = 20;
/** What a page takes at most, however large the tables: some candidates of each status, and a look at each of them. */
const MOST_ROWS = 9_000;

const idOf = (n: number): string => `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
const [HOT, OTHER, MACHINE, CUSTOMER] = [1, 2, 3, 4].map(idOf) as [string, string, string, string];
const [STRANGER, BUYER, HOLDER] = [5, 6, 7].map(idOf) as [string, string, string];
/** Of the buyer's, who hardly ever takes the hot product: some far apart, and one of each status. */
const HOT_OF_BUYER = 'n IN (101, 213, 309, 421) OR n % 8000 = 5 AND n < 44000';

/**
 * Every second one is of the hot product, every fourth of the machine, which takes all products alike. Every sixteenth
 * is of the buyer, but of the newest, three of eight are of the holder: none of them of the hot product.
 */
const MAKE = [
  `CREATE TEMP TABLE made AS
   SELECT n, ('018f' || lpad(to_hex(n::bigint * 16), 8, '0') || '7abc8' || substr(md5(n::text), 1, 15))::uuid AS id,
     CASE WHEN n % 8 IN (0, 3) THEN '${MACHINE}' WHEN n % 1999 = 1 THEN '${CUSTOMER}'
       WHEN n % 2 = 1 AND n > ${RESERVATIONS - 6000} THEN '${HOLDER}' WHEN n % 16 = 5 THEN '${BUYER}'
       ELSE md5((n % 5000)::text) END::uuid AS user_id,
     CASE WHEN n % 2 = 0 OR ${HOT_OF_BUYER} THEN '${HOT}' WHEN n % 40 = 1 THEN '${OTHER}' ELSE md5((n % 97)::text) END::uuid AS product_id
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
/** So many are held and so many overdue, all of them new, that nobody looks at each; none of the hot product is held. */
const MANY = [
  ...RARE.slice(0, 2),
  endSome('active', '2099-01-01', `n > ${RESERVATIONS - 6000} AND n % 2 = 1`),
  endSome('active', '2020-01-01', `n > ${RESERVATIONS - 6000} AND n % 2 = 0`),
];
/**
 * The machine has much of the hot product, and much that is active, was cancelled or has expired, but hardly any of both.
 * Of the hot product, nothing else is active, little was cancelled, and much has expired.
 */
const ENDED = [
  ...RARE,
  endSome('expired', '2020-01-01', 'n BETWEEN 201 AND 300 AND n % 8 = 0'),
  endSome('active', '2099-01-01', 'n BETWEEN 301 AND 400 AND n % 8 = 0'),
  endSome('cancelled', '2099-01-01', 'n > 500 AND n % 24 = 3'),
  endSome('expired', '2020-01-01', 'n > 500 AND (n % 24 = 11 OR n % 8 = 2)'),
  endSome('active', '2099-01-01', 'n > 500 AND n % 24 = 19'),
];

const MOVE = `
  INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after,
    reserved_after, reservation_id, actor, request_id)
  SELECT gen_random_uuid(), product_id, warehouse_id, kind, 0, 0, 0, 0, reservation_id, 'user:x', reservation_id
  FROM reservation_items JOIN reservations ON reservations.id = reservation_id
  CROSS JOIN LATERAL (VALUES ('reserve'), (CASE status WHEN 'committed' THEN 'commit' WHEN 'cancelled' THEN 'release'
    WHEN 'expired' THEN 'expire' END)) AS move (kind)
  WHERE kind IS NOT NULL`;

interface Seen {
  id: string;
  user_id: string;
  status: ReservationStatus;
  products: string[];
}

/** As they read, newest first. */
const ALL = `
  SELECT id, user_id, CASE WHEN status = 'active' AND expires_at < now() THEN 'expired' ELSE status END AS status,
    (SELECT array_agg(DISTINCT product_id::text) FROM reservation_items WHERE reservation_id = id) AS products
  FROM reservations ORDER BY id DESC`;

const COMBINATIONS: ReservationFilters[] = [undefined, MACHINE, CUSTOMER, STRANGER, BUYER, HOLDER].flatMap((userId) =>
  [undefined, HOT, OTHER, idOf(99), STRANGER].flatMap((productId) =>
    [undefined, ...RESERVATION_STATUSES].map((status) => ({ userId, productId, status })),
  ),
);

/** So few are not many (`FEW` in the query). */
const FEW = 2_000;
/** Of a user with few; of some with many, hardly any of which are of the product; and of one with many of it. */
const OF_BOTH: ReservationFilters[] = [
  { userId: CUSTOMER, productId: HOT },
  { userId: BUYER, productId: HOT },
  { userId: BUYER, productId: HOT, status: 'committed' },
  { userId: HOLDER, productId: HOT, status: 'active' },
  { userId: MACHINE, productId: OTHER },
  { userId: MACHINE, productId: OTHER, status: 'committed' },
  { userId: MACHINE, productId: HOT, status: 'active' },
  { userId: MACHINE, productId: HOT, status: 'committed' },
];

describe.each([
  ['little is held or overdue', RARE],
  ['much is held and overdue', MANY],
  ['much has ended otherwise', ENDED],
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
    await run(...TABLES.map((table) => `VACUUM ANALYZE ${table}`), ...changes, MOVE);
    runner.release();
    all = await database.query<Seen>(ALL);
  }, 60_000);
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  const expectedOf = ({ userId, productId, status }: ReservationFilters): string[] =>
    all
      .filter((one) => userId === undefined || one.user_id === userId)
      .filter((one) => status === undefined || one.status === status)
      .filter((one) => productId === undefined || one.products.includes(productId))
      .map(({ id }) => id);

  const positionAt = (id: string | undefined): { value: string; id: string } | undefined =>
    id === undefined ? undefined : { value: id, id };

  const isMany = (filters: ReservationFilters): boolean => expectedOf(filters).length > FEW;
  /** Of a product, what is active, or of a user as well and of any status, where each two of these have much in common. */
  const mayWalk = ({ userId, productId, status }: ReservationFilters): boolean => {
    if (productId === undefined || status === undefined) {
      return false;
    }
    const ofProduct = status === 'active' || isMany({ productId, status });
    return ofProduct && isMany({ userId, status }) && isMany({ userId, productId });
  };

  const expectFlat = async (filters: ReservationFilters, after?: string): Promise<void> => {
    const { endToEnd, rows } = await workOf(manager, reservationsQuery(filters, PAGE + 1, positionAt(after)), TABLES);
    const most = mayWalk(filters) ? MOST_ROWS + 3 * expectedOf({ ...filters, status: undefined }).length : MOST_ROWS;
    expect({ filters, after, endToEnd, tooMany: rows > most && rows }).toEqual({
      ...{ filters, after, endToEnd: [], tooMany: false },
    });
  };

  it.each([
    ['knows nothing of what is rare', []],
    ['knows it all', TABLES.map((table) => `VACUUM ANALYZE ${table}`)],
  ])('reads no table from end to end, and few rows, when the planner %s', async (_knowledge, statements) => {
    for (const sql of statements) {
      await database.query(sql);
    }
    const far = all[Math.floor(all.length * 0.9)]!.id;
    for (const filters of COMBINATIONS) {
      await expectFlat(filters);
      await expectFlat(filters, far);
    }
  });

  it('of a user and a product looks at no more than what is of both, and at the newest of that first', async () => {
    const far = all[Math.floor(all.length * 0.9)]!.id;
    const oldestActive = expectedOf({ status: 'active' }).at(-1)!;
    for (const [filters, after] of OF_BOTH.flatMap((one) => [undefined, far].map((from) => [one, from] as const))) {
      const isLeft = (id: string): boolean =>
        (after === undefined || id < after) && (filters.status !== 'active' || id >= oldestActive);
      const left = (one: ReservationFilters): number => expectedOf(one).filter(isLeft).length;
      const ofBoth = left({ ...filters, status: undefined });
      const [everything, page] = [1 + 4 * ofBoth, 4 * (PAGE + 1)];
      const isFull = left(filters) > PAGE;
      const most = isFull ? Math.min(everything, page + (filters.status === undefined ? 0 : FEW + 1)) : everything;
      const { rows } = await workOf(manager, reservationsQuery(filters, PAGE + 1, positionAt(after)), TABLES);
      expect({ filters, after, tooMany: rows > most && rows }).toEqual({ filters, after, tooMany: false });
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
