import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Makes what every reservation writes cheaper: docs/decisions/0006 and 0007 say what it costs and gains. */
export class HotPath1795132800007 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE reservation_items DROP CONSTRAINT reservation_items_reservation');
    await runner.query('ALTER TABLE order_items DROP CONSTRAINT order_items_order');
    await runner.query('ALTER TABLE order_status_changes DROP CONSTRAINT order_status_changes_order');
    // Room in the page of a level for its next version, so that no index has to learn where it went.
    await runner.query('ALTER TABLE stock_levels SET (fillfactor = 50)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE stock_levels RESET (fillfactor)');
    await runner.query(`
      ALTER TABLE order_status_changes
        ADD CONSTRAINT order_status_changes_order FOREIGN KEY (order_id) REFERENCES orders`);
    await runner.query(
      'ALTER TABLE order_items ADD CONSTRAINT order_items_order FOREIGN KEY (order_id) REFERENCES orders',
    );
    await runner.query(`
      ALTER TABLE reservation_items
        ADD CONSTRAINT reservation_items_reservation FOREIGN KEY (reservation_id) REFERENCES reservations`);
  }
}
