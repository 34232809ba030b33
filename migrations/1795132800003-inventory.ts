import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Inventory1795132800003 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE warehouses (
        id uuid CONSTRAINT warehouses_pkey PRIMARY KEY,
        code text NOT NULL CONSTRAINT warehouses_code_unique UNIQUE,
        name text NOT NULL,
        priority integer NOT NULL DEFAULT 100,
        is_active boolean NOT NULL DEFAULT true,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT warehouses_priority_not_negative CHECK (priority >= 0)
      )`);
    await runner.query(`
      INSERT INTO warehouses (id, code, name)
      VALUES ('00000000-0000-7000-8000-000000000001', 'MAIN', 'Main warehouse')`);
    await runner.query(`
      CREATE TABLE products (
        id uuid CONSTRAINT products_pkey PRIMARY KEY,
        sku text NOT NULL CONSTRAINT products_sku_unique UNIQUE,
        name text NOT NULL,
        description text,
        price numeric(14,2) NOT NULL,
        currency character(3) NOT NULL,
        is_active boolean NOT NULL DEFAULT true,
        low_stock_threshold integer NOT NULL DEFAULT 0,
        version integer NOT NULL DEFAULT 1,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT products_price_not_negative CHECK (price >= 0),
        CONSTRAINT products_threshold_not_negative CHECK (low_stock_threshold >= 0)
      )`);
    await runner.query('CREATE INDEX products_by_time ON products (created_at, id)');
    await this.stock(runner);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE stock_movements, stock_levels, products, warehouses');
  }

  private async stock(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE stock_levels (
        product_id uuid NOT NULL CONSTRAINT stock_levels_product REFERENCES products,
        warehouse_id uuid NOT NULL CONSTRAINT stock_levels_warehouse REFERENCES warehouses,
        available integer NOT NULL DEFAULT 0,
        reserved integer NOT NULL DEFAULT 0,
        total integer NOT NULL DEFAULT 0,
        CONSTRAINT stock_levels_pkey PRIMARY KEY (product_id, warehouse_id),
        CONSTRAINT stock_levels_available_not_negative CHECK (available >= 0),
        CONSTRAINT stock_levels_reserved_not_negative CHECK (reserved >= 0),
        CONSTRAINT stock_levels_total_is_sum CHECK (available + reserved = total)
      )`);
    await runner.query(`
      CREATE TABLE stock_movements (
        id uuid CONSTRAINT stock_movements_pkey PRIMARY KEY,
        product_id uuid NOT NULL,
        warehouse_id uuid NOT NULL,
        kind text NOT NULL,
        available_delta integer NOT NULL,
        reserved_delta integer NOT NULL,
        available_after integer NOT NULL,
        reserved_after integer NOT NULL,
        reservation_id uuid,
        order_id uuid,
        actor text NOT NULL,
        reason text,
        request_id uuid NOT NULL,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT stock_movements_kind_known CHECK (kind IN
          ('initial', 'adjustment', 'transfer_out', 'transfer_in', 'reserve', 'release', 'expire', 'commit', 'restock'))
      )`);
    await runner.query('CREATE INDEX stock_movements_by_product ON stock_movements (product_id, created_at, id)');
    await runner.query(`
      CREATE TRIGGER stock_movements_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_movements
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`);
  }
}
