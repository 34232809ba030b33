import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Searches of products that no trigrams answer, and what is in stock. Migration 15 takes all but the one text back. */
export class ProductSearch1795132800012 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX products_by_text');
    await runner.query(`
      CREATE INDEX products_by_text ON products USING gin ((sku || E'\\n' || name) gin_trgm_ops)
        WITH (fastupdate = off)`);
    await this.makePieces(runner);
    // Processes that share a scan of it are started for a list before it knows whether it needs one.
    await runner.query('ALTER TABLE products SET (parallel_workers = 0)');
    await this.makeAvailability(runner);
  }

  async down(runner: QueryRunner): Promise<void> {
    await this.dropAvailability(runner);
    await runner.query('ALTER TABLE products RESET (parallel_workers)');
    await this.dropPieces(runner);
    await runner.query('DROP INDEX products_by_text');
    await runner.query(`
      CREATE INDEX products_by_text ON products USING gin (sku gin_trgm_ops, name gin_trgm_ops) WITH (fastupdate = off)`);
  }

  /** Every sign of a text, and every two that stand together. Its cost, in units of an operator, is as measured. */
  async makePieces(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION pieces_of(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 5000
        RETURN string_to_array(lower($1), NULL)
          || ARRAY(SELECT substr(lower($1), at, 2) FROM generate_series(1, length(lower($1)) - 1) AS at)`);
    await runner.query(`
      CREATE INDEX products_by_pieces ON products USING gin (pieces_of(sku || E'\\n' || name)) WITH (fastupdate = off)`);
    // Without statistics the planner takes any pieces for rare, and so never reads the table for them instead.
    await runner.query('ALTER INDEX products_by_pieces ALTER COLUMN 1 SET STATISTICS 0');
  }

  async dropPieces(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX products_by_pieces');
    await runner.query('DROP FUNCTION pieces_of(text)');
  }

  async dropAvailability(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE product_availability');
    // With the triggers that call them.
    await runner.query('DROP FUNCTION list_product(), count_stocked_level() CASCADE');
  }

  /** The triggers come first: from then on no product or level changes until this is committed. */
  async makeAvailability(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE product_availability (
        product_id uuid CONSTRAINT product_availability_pkey PRIMARY KEY
          CONSTRAINT product_availability_product REFERENCES products ON DELETE CASCADE,
        created_at timestamptz(3) NOT NULL,
        is_active boolean NOT NULL,
        stocked_levels integer NOT NULL DEFAULT 0,
        is_in_stock boolean NOT NULL DEFAULT false,
        CONSTRAINT product_availability_not_negative CHECK (stocked_levels >= 0),
        CONSTRAINT product_availability_in_stock CHECK (is_in_stock = (stocked_levels > 0))
      )`);
    await this.productTriggers(runner);
    await this.levelTriggers(runner);
    await runner.query(`
      INSERT INTO product_availability
      SELECT id, created_at, is_active, coalesce(levels, 0), levels IS NOT NULL
      FROM products LEFT JOIN (
        SELECT product_id, count(*) AS levels FROM stock_levels WHERE available > 0 GROUP BY product_id
      ) AS stocked ON product_id = id
      ORDER BY created_at`);
    await runner.query(`
      CREATE INDEX product_availability_by_time
        ON product_availability (is_in_stock, is_active, created_at, product_id)`);
    await runner.query('ANALYZE product_availability');
  }

  private async productTriggers(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION list_product() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO product_availability (product_id, created_at, is_active)
        VALUES (NEW.id, NEW.created_at, NEW.is_active)
        ON CONFLICT (product_id) DO UPDATE SET created_at = NEW.created_at, is_active = NEW.is_active;
        RETURN NULL;
      END $$`);
    await runner.query(`
      CREATE TRIGGER products_listed_if_new AFTER INSERT ON products FOR EACH ROW EXECUTE FUNCTION list_product()`);
    await runner.query(`
      CREATE TRIGGER products_listed AFTER UPDATE ON products FOR EACH ROW
        WHEN (OLD.is_active <> NEW.is_active OR OLD.created_at <> NEW.created_at) EXECUTE FUNCTION list_product()`);
  }

  /** Called when a level becomes empty or no longer is, not for what a reservation takes of many. */
  private async levelTriggers(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION count_stocked_level() RETURNS trigger LANGUAGE plpgsql AS $$
      DECLARE
        change integer := CASE WHEN NEW.available > 0 THEN 1 ELSE -1 END;
      BEGIN
        UPDATE product_availability
        SET stocked_levels = stocked_levels + change, is_in_stock = stocked_levels + change > 0
        WHERE product_id = coalesce(NEW.product_id, OLD.product_id);
        RETURN NULL;
      END $$`);
    await runner.query(`
      CREATE TRIGGER stock_levels_counted_if_new AFTER INSERT ON stock_levels FOR EACH ROW
        WHEN (NEW.available > 0) EXECUTE FUNCTION count_stocked_level()`);
    await runner.query(`
      CREATE TRIGGER stock_levels_counted AFTER UPDATE ON stock_levels FOR EACH ROW
        WHEN ((OLD.available > 0) <> (NEW.available > 0)) EXECUTE FUNCTION count_stocked_level()`);
    await runner.query(`
      CREATE TRIGGER stock_levels_counted_if_gone AFTER DELETE ON stock_levels FOR EACH ROW
        WHEN (OLD.available > 0) EXECUTE FUNCTION count_stocked_level()`);
  }
}
