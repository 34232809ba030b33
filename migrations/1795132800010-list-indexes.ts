import type { MigrationInterface, QueryRunner } from 'typeorm';
import { ConfigurationError } from '../src/platform/config/app-config';

/** Indexes for the lists of reservations, products and movements; docs/decisions/0011 and 0012 say what they cost. */
export class ListIndexes1795132800010 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await assertTrigramsCanBe(runner);
    await runner.query('DROP INDEX reservations_by_time, reservations_by_user');
    await runner.query('CREATE INDEX reservations_by_status ON reservations (status, id)');
    await runner.query('CREATE INDEX reservations_by_user ON reservations (user_id, status, id)');
    await runner.query(`
      CREATE INDEX stock_movements_by_ending ON stock_movements (product_id, kind, reservation_id)
        WHERE kind IN ('commit', 'release', 'expire')`);
    // Nobody looks a row of these two up by its id alone, so the index of their list can be the key as well.
    await this.changeKey(runner, 'stock_movements', 'product_id, created_at, id');
    await runner.query('DROP INDEX stock_movements_by_product');
    await this.changeKey(runner, 'order_status_changes', 'order_id, created_at, id');
    await runner.query('DROP INDEX order_status_changes_by_order');
    await runner.query('CREATE INDEX products_active_by_time ON products (created_at, id) WHERE is_active');
    await runner.query('CREATE EXTENSION IF NOT EXISTS pg_trgm');
    await runner.query(`
      CREATE INDEX products_by_text ON products USING gin (sku gin_trgm_ops, name gin_trgm_ops) WITH (fastupdate = off)`);
  }

  /** Leaves the extension: somebody else may have made it, or use it by now. */
  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX products_by_text, products_active_by_time');
    await runner.query('CREATE INDEX order_status_changes_by_order ON order_status_changes (order_id, created_at, id)');
    await this.changeKey(runner, 'order_status_changes', 'id');
    await runner.query('CREATE INDEX stock_movements_by_product ON stock_movements (product_id, created_at, id)');
    await this.changeKey(runner, 'stock_movements', 'id');
    await runner.query('DROP INDEX stock_movements_by_ending, reservations_by_user, reservations_by_status');
    await runner.query('CREATE INDEX reservations_by_user ON reservations (user_id, created_at, id)');
    await runner.query('CREATE INDEX reservations_by_time ON reservations (created_at, id)');
  }

  private async changeKey(runner: QueryRunner, table: string, columns: string): Promise<void> {
    await runner.query(`
      ALTER TABLE ${table} DROP CONSTRAINT ${table}_pkey, ADD CONSTRAINT ${table}_pkey PRIMARY KEY (${columns})`);
  }
}

/** The extension comes with PostgreSQL, but some packages of it leave it to another one. */
async function assertTrigramsCanBe(runner: QueryRunner): Promise<void> {
  const found = (await runner.query(`SELECT FROM pg_available_extensions WHERE name = 'pg_trgm'`)) as unknown[];
  if (found.length === 0) {
    throw new ConfigurationError(
      "DATABASE_URL: its server lacks the extension pg_trgm, which is in PostgreSQL's contrib package; install that",
    );
  }
}
