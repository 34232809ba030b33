import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A product's reservations that have ended are looked for among all of its: docs/decisions/0011 says where that is long. */
export class NoEndingIndex1795132800016 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX stock_movements_by_ending');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE INDEX stock_movements_by_ending ON stock_movements (product_id, kind, reservation_id)
        WHERE kind IN ('commit', 'release', 'expire')`);
  }
}
