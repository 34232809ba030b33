import { DataSource, type QueryRunner } from 'typeorm';
import { ListIndexes1795132800010 } from '../../migrations/1795132800010-list-indexes';
import { ConfigurationError } from '../../src/platform/config/app-config';
import { migrate } from '../../src/platform/database/migrate';
import { typeormOptions } from '../../src/platform/database/typeorm-options';
import { partitionsOf } from '../support/audit-months';
import { createDatabase, type TestDatabase } from '../support/database';

const MAIN = { id: '00000000-0000-7000-8000-000000000001', code: 'MAIN', priority: 100, is_active: true };
const BOOKKEEPING = 'schema_migrations';

/**
 * All that our migrations could make. Indexes come and go with their tables; the book of the migrations is TypeORM's; an
 * extension stays, and what is in it.
 */
const OBJECTS = `
  SELECT 'relation ' || relname AS name FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i' AND relname NOT LIKE '${BOOKKEEPING}%'
  UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')
  UNION ALL SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typrelid = 0 AND typelem = 0 AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = pg_type.oid AND deptype = 'e')
  UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal
  ORDER BY name`;

/** Those of partitions are as those of their table, which PostgreSQL sees to. */
const COLUMNS = `
  SELECT attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || (CASE WHEN attnotnull THEN ' not null' ELSE '' END)
    || coalesce(' default ' || pg_get_expr(adbin, adrelid), '') AS definition
  FROM pg_attribute
  JOIN pg_class ON pg_class.oid = attrelid AND relkind IN ('r', 'p') AND NOT relispartition
    AND relnamespace = 'public'::regnamespace AND relname <> '${BOOKKEEPING}'
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
  WHERE attnum > 0 AND NOT attisdropped`;

/** TypeORM makes up the names of primary keys, so theirs are left out. */
const CONSTRAINTS = `
  SELECT conrelid::regclass || (CASE contype WHEN 'p' THEN '' ELSE ' ' || conname END) || ' ' || pg_get_constraintdef(pg_constraint.oid) AS definition
  FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid AND NOT relispartition
  WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u') AND conrelid::regclass::text <> '${BOOKKEEPING}'`;

/** TypeORM cannot spell the index of texts. */
const INDEXES = `
  SELECT replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS definition FROM pg_index
  JOIN pg_class ON pg_class.oid = indexrelid AND relnamespace = 'public'::regnamespace AND NOT relispartition
  WHERE NOT indisprimary AND relname <> 'products_by_text'`;

describe('The migrations', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  beforeEach(async () => {
    database = await createDatabase({ template: 'template0' });
    dataSource = await new DataSource(typeormOptions(database.url, 2)).initialize();
  });
  afterEach(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  const up = async (): Promise<string[]> =>
    (await dataSource.runMigrations({ transaction: 'each' })).map(({ name }) => name);
  const objects = async (of: TestDatabase = database): Promise<string[]> =>
    (await of.query<{ name: string }>(OBJECTS)).map(({ name }) => name);

  async function definitions(of: TestDatabase): Promise<string[]> {
    const found = await Promise.all(
      [COLUMNS, CONSTRAINTS, INDEXES].map((sql) => of.query<{ definition: string }>(sql)),
    );
    return found
      .flat()
      .map(({ definition }) => definition)
      .sort();
  }

  it('go up on an empty database, all the way down, and up again to the same', async () => {
    const names = await up();
    expect(names).toHaveLength(dataSource.migrations.length);
    const [before, defined] = [await objects(), await definitions(database)];
    for (const _ of names) {
      await dataSource.undoLastMigration({ transaction: 'each' });
    }
    expect(await objects()).toEqual([]);
    expect(await database.query(`SELECT * FROM ${BOOKKEEPING}`)).toEqual([]);
    expect(await up()).toEqual(names);
    expect(await objects()).toEqual(before);
    expect(await definitions(database)).toEqual(defined);
  });

  it('go down one at a time, each leaving what was there before it came', async () => {
    const steps: string[][] = [];
    const pending = [...dataSource.migrations];
    for (const migration of pending) {
      dataSource.migrations.splice(0, Infinity, ...pending.slice(0, pending.indexOf(migration)));
      await up();
      steps.push(await objects());
    }
    dataSource.migrations.splice(0, Infinity, ...pending);
    await up();
    for (const step of steps.reverse()) {
      await dataSource.undoLastMigration({ transaction: 'each' });
      expect(await objects()).toEqual(step);
    }
  });

  it('make what the entities say, as TypeORM sees it', async () => {
    await up();
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });

  it('make what the entities say, to the last default, check and index', async () => {
    await up();
    const made = await createDatabase({ template: 'template0' });
    const byEntities = await new DataSource(typeormOptions(made.url, 2)).initialize();
    try {
      await byEntities.synchronize();
      expect(await definitions(database)).toEqual(await definitions(made));
    } finally {
      await byEntities.destroy();
      await made.drop();
    }
  });

  it('keep the audit log when it is partitioned by month and back, and need not copy it on the way there', async () => {
    await up();
    const down = async (): Promise<void> => {
      while ((await partitionsOf(database)).length > 0) {
        await dataSource.undoLastMigration({ transaction: 'each' });
      }
    };
    await down();
    await database.query(`
      INSERT INTO audit_logs (id, actor, action, object_type, object_id, request_id, created_at)
      SELECT gen_random_uuid(), 'system:test', 'order.created', 'order', gen_random_uuid(), gen_random_uuid(),
        clock_timestamp() - n * interval '10 days'
      FROM generate_series(0, 9) AS n`);
    const rows = (): Promise<object[]> =>
      database.query(`SELECT to_jsonb(audit_logs) - 'xid' AS row FROM audit_logs ORDER BY id`);
    const [before, [file]] = [await rows(), await database.query(`SELECT pg_relation_filenode('audit_logs') AS node`)];
    await up();
    expect(await rows()).toEqual(before);
    // What was written before there were events is none.
    expect(await database.query('SELECT FROM audit_logs WHERE xid IS NOT NULL')).toEqual([]);
    expect(await database.query(`SELECT pg_relation_filenode('audit_logs_past') AS node`)).toEqual([file]);
    const partitions = await partitionsOf(database);
    expect(partitions.map(({ name, rows: count }) => [name.replace(/\d/g, '0'), count])).toEqual([
      ...[1, 2, 3].map(() => ['audit_logs_0000_00', 0]),
      ...[
        ['audit_logs_default', 0],
        ['audit_logs_past', 10],
      ],
    ]);
    await expect(database.query('DELETE FROM audit_logs_past')).rejects.toThrow('append-only');
    await database.query(`INSERT INTO audit_logs SELECT gen_random_uuid(), 'system:test', 'order.created', 'order',
      gen_random_uuid(), NULL, NULL, gen_random_uuid(), clock_timestamp() + interval '2 months'`);
    const all = await rows();
    await down();
    expect(await rows()).toEqual(all);
    await up();
    expect(await rows()).toEqual(all);
  });

  it('keep nothing in the database that acts by itself, but what refuses changes', async () => {
    await up();
    expect((await objects()).filter((name) => /^(function|trigger) /.test(name))).toEqual([
      'function refuse_change',
      ...(await partitionsOf(database)).map(() => 'trigger audit_logs_append_only'),
      'trigger audit_logs_append_only',
      'trigger stock_movements_append_only',
    ]);
  });

  it('know on the way down which products are in stock', async () => {
    await up();
    await database.query(`INSERT INTO warehouses (id, code, name) VALUES (gen_random_uuid(), 'OTHER', 'Other')`);
    await database.query(`
      INSERT INTO products (id, sku, name, price, currency, is_active)
      SELECT gen_random_uuid(), n, 'n', 1, 'EUR', n <> 2 FROM generate_series(0, 3) AS n`);
    await database.query(`
      INSERT INTO stock_levels SELECT products.id, warehouses.id, available, 0, available FROM products, warehouses,
        LATERAL (SELECT CASE WHEN code = 'MAIN' THEN sku::int ELSE greatest(sku::int - 2, 0) END AS available) AS amount`);
    while (!(await objects()).includes('relation product_availability')) {
      await dataSource.undoLastMigration({ transaction: 'each' });
    }
    const kept = `
      SELECT sku, kept.is_active, stocked_levels, is_in_stock, kept.created_at = products.created_at AS is_of_its_time
      FROM products JOIN product_availability AS kept ON product_id = id ORDER BY sku`;
    const common = { is_active: true, is_of_its_time: true, is_in_stock: true };
    const expected = [
      { ...common, sku: '0', stocked_levels: 0, is_in_stock: false },
      { ...common, sku: '1', stocked_levels: 1 },
      { ...common, sku: '2', stocked_levels: 1, is_active: false },
      { ...common, sku: '3', stocked_levels: 2 },
    ];
    expect(await database.query(kept)).toEqual(expected);
    await database.query(
      `UPDATE stock_levels SET available = 0, total = 0 FROM products WHERE id = product_id AND sku = '1'`,
    );
    expect((await database.query(kept))[1]).toEqual({ ...common, sku: '1', stocked_levels: 0, is_in_stock: false });
  });

  it('tell the items of reservations whose they are, and lose none, not even one without a reservation', async () => {
    const down = async (): Promise<void> => {
      while ((await definitions(database)).includes('reservation_items.user_id uuid not null')) {
        await dataSource.undoLastMigration({ transaction: 'each' });
      }
    };
    const items = (table: string): Promise<{ reservation_id: string }[]> =>
      database.query(`
        SELECT reservation_id, user_id, product_id, warehouse_id, quantity, unit_price FROM ${table} ORDER BY product_id`);
    await up();
    await down();
    await database.query(`
      WITH held AS (
        INSERT INTO reservations (id, user_id, status, expires_at, total_amount, currency)
        SELECT gen_random_uuid(), gen_random_uuid(), 'active', now(), 1, 'EUR' FROM generate_series(1, 3) RETURNING id)
      INSERT INTO reservation_items (reservation_id, product_id, warehouse_id, quantity, unit_price)
      SELECT id, gen_random_uuid(), gen_random_uuid(), n, n FROM held, generate_series(1, 2) AS n`);
    const before = await items('reservation_items JOIN reservations ON id = reservation_id');
    expect(before).toHaveLength(6);
    await up();
    expect(await items('reservation_items')).toEqual(before);
    await down();
    expect(await items('reservation_items JOIN reservations ON id = reservation_id')).toEqual(before);
    await database.query('DELETE FROM reservations WHERE id = $1', [before[0]!.reservation_id]);
    const muted = jest.spyOn(console, 'log').mockReturnValue();
    await expect(up()).rejects.toThrow('null value in column "user_id"');
    muted.mockRestore();
    expect(await database.query('SELECT FROM reservation_items')).toHaveLength(6);
  });

  it('run once when many processes start at once on an empty database', async () => {
    const done = await Promise.all(Array.from({ length: 6 }, () => migrate(database.url)));
    expect(done.map(({ length }) => length).sort()).toEqual([0, 0, 0, 0, 0, dataSource.migrations.length]);
    expect(await migrate(database.url)).toEqual([]);
    const rows = await database.query<{ name: string }>(`SELECT name FROM ${BOOKKEEPING} ORDER BY id`);
    expect(rows.map(({ name }) => name)).toEqual(done.flat());
  });

  it('say what is missing on a server without trigrams', async () => {
    const runner = { query: () => Promise.resolve([]) } as unknown as QueryRunner;
    await expect(new ListIndexes1795132800010().up(runner)).rejects.toThrow(ConfigurationError);
    await expect(new ListIndexes1795132800010().up(runner)).rejects.toThrow(/lacks the extension pg_trgm/);
  });

  it('bring the warehouse MAIN under the id that everybody knows', async () => {
    await up();
    expect(await database.query('SELECT id, code, priority, is_active FROM warehouses')).toEqual([MAIN]);
  });

  it.each(
    ['audit_logs', 'stock_movements'].flatMap((table) =>
      [
        `UPDATE ${table} SET actor = actor`,
        `DELETE FROM ${table}`,
        `TRUNCATE ${table}`,
        `TRUNCATE ${table} CASCADE`,
      ].map((sql) => ({ table, sql })),
    ),
  )('make $table append-only: $sql is refused', async ({ table, sql }) => {
    await up();
    await expect(database.query(sql)).rejects.toThrow(`${table} is append-only`);
  });

  it.each([
    { constraint: 'stock_levels_available_not_negative', sql: 'SET available = -1, total = -1' },
    { constraint: 'stock_levels_reserved_not_negative', sql: 'SET reserved = -1, total = -1' },
    { constraint: 'stock_levels_total_is_sum', sql: 'SET available = 1' },
  ])('let the database itself refuse a level that cannot be, by $constraint', async ({ constraint, sql }) => {
    await up();
    await database.query(
      `INSERT INTO products (id, sku, name, price, currency) VALUES ('${MAIN.id}', 'S', 'n', 1, 'EUR')`,
    );
    await database.query('INSERT INTO stock_levels (product_id, warehouse_id) VALUES ($1, $1)', [MAIN.id]);
    await expect(database.query(`UPDATE stock_levels ${sql}`)).rejects.toMatchObject({ constraint });
  });
});
