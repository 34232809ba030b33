import { DataSource } from 'typeorm';
import { typeormOptions } from '../../src/platform/database/typeorm-options';
import { createDatabase, type TestDatabase } from '../support/database';

const MAIN = '00000000-0000-7000-8000-000000000001';

describe('The migration that brings alerts', () => {
  let database: TestDatabase;
  let dataSource: DataSource;
  beforeAll(async () => {
    database = await createDatabase();
    dataSource = await new DataSource(typeormOptions(database.url, 2)).initialize();
  });
  afterAll(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  const exist = async (table: string): Promise<boolean> =>
    (await database.query('SELECT FROM pg_class WHERE relname = $1', [table])).length > 0;

  it('knows which products are low on stock or out of it, and tells nobody', async () => {
    while (await exist('product_alerts')) {
      await dataSource.undoLastMigration({ transaction: 'each' });
    }
    await database.query(`INSERT INTO warehouses (id, code, name) VALUES (gen_random_uuid(), 'OTHER', 'Other')`);
    // Of each, so many are available in both warehouses together, and so many are held.
    await database.query(`
      CREATE TABLE stock AS SELECT gen_random_uuid() AS id, * FROM (VALUES
        ('enough', 6, 0, 5), ('few', 5, 0, 5), ('none', 0, 0, 5), ('no level', NULL, 0, 0),
        ('overdue', 0, 6, 5), ('few and overdue', 2, 3, 5), ('held', 0, 6, 0)) AS stock (sku, available, held, threshold)`);
    await database.query(`
      INSERT INTO products (id, sku, name, price, currency, low_stock_threshold)
      SELECT id, sku, 'n', 1, 'EUR', threshold FROM stock`);
    await database.query(`
      INSERT INTO stock_levels SELECT stock.id, warehouses.id, available / 2 + share, held, available / 2 + share + held
      FROM stock, warehouses, LATERAL (SELECT CASE code WHEN 'MAIN' THEN available % 2 ELSE 0 END AS share) AS rest
      WHERE available IS NOT NULL`);
    await database.query(`
      WITH made AS (
        INSERT INTO reservations (id, user_id, status, expires_at, total_amount, currency)
        SELECT id, id, 'active', now() + (CASE sku WHEN 'held' THEN 1 ELSE -1 END) * interval '1 minute', 1, 'EUR'
        FROM stock WHERE held > 0 RETURNING id
      )
      INSERT INTO reservation_items (reservation_id, user_id, product_id, warehouse_id, quantity, unit_price)
      SELECT id, id, id, '${MAIN}', held, 1 FROM made JOIN stock USING (id)`);
    await dataSource.runMigrations({ transaction: 'each' });
    expect(
      await database.query('SELECT sku, state FROM product_alerts JOIN products ON id = product_id ORDER BY sku'),
    ).toEqual([
      { sku: 'few', state: 'low' },
      { sku: 'few and overdue', state: 'low' },
      { sku: 'held', state: 'out' },
      { sku: 'no level', state: 'out' },
      { sku: 'none', state: 'out' },
    ]);
    expect(await database.query('SELECT FROM audit_logs')).toEqual([]);
  });
});
