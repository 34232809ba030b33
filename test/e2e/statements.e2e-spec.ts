import { randomUUID } from 'node:crypto';
import { DataSource, type EntityTarget, type ObjectLiteral, type QueryRunner } from 'typeorm';
import { Product } from '../../src/inventory/products/product.entity';
import { Reservation, ReservationItem } from '../../src/inventory/reservations/reservation.entity';
import { Warehouse } from '../../src/inventory/warehouses/warehouse.entity';
import { Connections } from '../../src/platform/database/connections';
import { insertRows, type TableRows } from '../../src/platform/database/insert-rows';
import { prepared } from '../../src/platform/database/prepared';
import { typeormOptions } from '../../src/platform/database/typeorm-options';
import { createDatabase, rowCounts, type TestDatabase } from '../support/database';

let database: TestDatabase;
let dataSource: DataSource;
beforeAll(async () => {
  database = await createDatabase();
  dataSource = await new DataSource(typeormOptions(database.url)).initialize();
});
afterAll(async () => {
  await dataSource.destroy();
  await database.drop();
});

const aHold = (): Partial<Reservation> & { id: string } => ({
  ...{ id: randomUUID(), userId: randomUUID(), status: 'active', orderId: null },
  ...{ totalAmount: '19.90', currency: 'EUR', expiresAt: new Date('2030-01-01T00:00:00.123Z') },
});
const itemOf = ({ id }: { id: string }, quantity: number): ReservationItem => ({
  ...{ reservationId: id, userId: randomUUID(), productId: randomUUID(), warehouseId: randomUUID() },
  ...{ quantity, unitPrice: '9.95' },
});

/** In no transaction: what one statement does stays or goes as a whole, what several do does not. */
const rowsOf = <Row extends ObjectLiteral>(entity: EntityTarget<Row>, rows: readonly Partial<Row>[]): TableRows => [
  entity,
  rows,
];

describe('Rows that are inserted together', () => {
  const quantities = async (holds: { id: string }[]): Promise<number[]> => {
    const rows = await database.query<{ quantity: number }>(
      'SELECT quantity FROM reservation_items WHERE reservation_id = ANY($1) ORDER BY ctid',
      [holds.map(({ id }) => id)],
    );
    return rows.map(({ quantity }) => quantity);
  };

  it.each([['before'], ['after']])(
    'go into several tables in one statement, those with a foreign key %s those that it names',
    async (place) => {
      const holds = [aHold(), aHold(), aHold()];
      const items = holds.flatMap((hold, index) => [itemOf(hold, index + 1), itemOf(hold, index + 11)]);
      const tables = [rowsOf(Reservation, holds), rowsOf(ReservationItem, items)];
      await insertRows(dataSource.manager, ...(place === 'before' ? tables.reverse() : tables));
      const made = await dataSource.manager.findBy(Reservation, { id: holds[2]!.id });
      expect(made).toEqual([{ ...holds[2], createdAt: expect.any(Date), updatedAt: expect.any(Date) }]);
      expect(await quantities(holds)).toEqual([1, 11, 2, 12, 3, 13]);
    },
  );

  it('are all left out if one of them is refused, whichever table it is for', async () => {
    const before = await rowCounts(database);
    const [good, bad] = [aHold(), aHold()];
    const refused = [
      [rowsOf(Reservation, [good]), rowsOf(ReservationItem, [itemOf(good, 1), itemOf(good, 0)])],
      [rowsOf(ReservationItem, [itemOf(good, 1)]), rowsOf(Reservation, [good, { ...bad, totalAmount: undefined }])],
    ];
    for (const tables of refused) {
      await expect(insertRows(dataSource.manager, ...tables)).rejects.toThrow(/violates/);
    }
    expect(await rowCounts(database)).toEqual(before);
  });

  it('keep their order, however many they are, and every character', async () => {
    const names = Array.from({ length: 300 }, (_, index) => `${index} "'\\ $1 ü 😀 {} [] null\n`);
    const rows = names.map((name) => ({ id: randomUUID(), code: randomUUID(), name }));
    await insertRows(dataSource.manager, rowsOf(Warehouse, rows));
    const made = await database.query<{ id: string; name: string }>(
      'SELECT id, name FROM warehouses WHERE id = ANY($1) ORDER BY ctid',
      [rows.map(({ id }) => id)],
    );
    expect(made).toEqual(rows.map(({ id, name }) => ({ id, name })));
  });

  it('have the defaults in the columns that the first of them does not name, and what is given in the others', async () => {
    const [plain, full] = [randomUUID(), randomUUID()];
    const named = { name: 'Mug', price: '19.90', currency: 'EUR' };
    const given = { description: null, isActive: false, lowStockThreshold: 7, version: 3 };
    const createdAt = new Date('2020-02-02T02:02:02.002Z');
    await insertRows(dataSource.manager, rowsOf(Product, [{ id: plain, sku: plain, ...named }]));
    await insertRows(dataSource.manager, rowsOf(Product, [{ id: full, sku: full, ...named, ...given, createdAt }]));
    const found = (id: string): Promise<Product[]> => dataSource.manager.findBy(Product, { id });
    const defaults = { description: null, isActive: true, lowStockThreshold: 0, version: 1 };
    const [one] = await found(plain);
    expect(one).toMatchObject(defaults);
    expect(Math.abs(Date.now() - one!.createdAt.getTime())).toBeLessThan(60_000);
    expect(await found(full)).toEqual([expect.objectContaining({ ...given, createdAt, updatedAt: expect.any(Date) })]);
  });

  it('may be none, of one table or of all', async () => {
    const before = await rowCounts(database);
    await insertRows(dataSource.manager);
    await insertRows(dataSource.manager, rowsOf(Reservation, []), rowsOf(ReservationItem, []));
    expect(await rowCounts(database)).toEqual(before);
    const hold = aHold();
    await insertRows(dataSource.manager, rowsOf(Warehouse, []), rowsOf(Reservation, [hold]), rowsOf(Product, []));
    await insertRows(dataSource.manager, rowsOf(ReservationItem, [itemOf(hold, 1)]), rowsOf(Reservation, []));
    expect(await rowCounts(database)).toEqual({
      ...before,
      reservations: before['reservations']! + 1,
      reservation_items: before['reservation_items']! + 1,
    });
  });
});

describe('A prepared statement', () => {
  let runner: QueryRunner;
  beforeAll(async () => {
    runner = dataSource.createQueryRunner();
    await runner.query('DEALLOCATE ALL');
  });
  afterAll(() => runner.release());

  it('is parsed once by a connection, however often it is sent', async () => {
    const [one, other] = ['SELECT $1::int AS one', 'SELECT $1::int AS other'];
    for (const value of [1, 2, 3]) {
      expect(await runner.query(prepared(one), [value])).toEqual([{ one: value }]);
      expect(await runner.query(prepared(other), [value])).toEqual([{ other: value }]);
    }
    const known = await runner.query('SELECT statement FROM pg_prepared_statements ORDER BY statement');
    expect(known).toEqual([{ statement: one }, { statement: other }]);
  });

  it('can be sent again after it has failed', async () => {
    const divide = prepared('SELECT 6 / $1::int AS result');
    const outcomes = await Promise.allSettled([0, 2, 0, 3].map((by) => runner.query(divide, [by])));
    expect(outcomes.map((one) => (one.status === 'fulfilled' ? one.value : 'failed'))).toEqual([
      'failed',
      [{ result: 3 }],
      'failed',
      [{ result: 2 }],
    ]);
  });

  it('is planned anew after a second: its table may have grown', async () => {
    const one = await new DataSource(typeormOptions(database.url, 1)).initialize();
    const clock = jest.spyOn(performance, 'now');
    try {
      const connections = new Connections(one);
      const statement = prepared('SELECT id FROM grown ORDER BY id LIMIT 1');
      const { name } = statement as unknown as { name: string };
      /** What a connection reads, and by which plan. */
      const read = async (): Promise<{ rows: unknown[]; plan: string }> => {
        const connection = await connections.take(performance.now() + 60_000);
        const rows = (await connection.runner.query(statement)) as unknown[];
        const plan = JSON.stringify(await connection.runner.query(`EXPLAIN EXECUTE ${name}`));
        await connection.release();
        return { rows, plan };
      };
      await one.query('CREATE TABLE grown (id int PRIMARY KEY) WITH (autovacuum_enabled = off)');
      await one.query('VACUUM ANALYZE grown');
      expect(await read()).toEqual({ rows: [], plan: expect.stringContaining('Seq Scan') });
      await one.query('INSERT INTO grown SELECT generate_series(1, 10000)');
      expect(await read()).toEqual({ rows: [{ id: 1 }], plan: expect.stringContaining('Seq Scan') });
      clock.mockReturnValue(performance.now() + 1_001);
      expect(await read()).toEqual({ rows: [{ id: 1 }], plan: expect.stringContaining('Index Only Scan') });
    } finally {
      clock.mockRestore();
      await one.query('DROP TABLE IF EXISTS grown');
      await one.destroy();
    }
  });
});
