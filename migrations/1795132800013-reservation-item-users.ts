import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Makes a user's reservations of a product a range of an index; docs/decisions/0011 says what it costs. */
export class ReservationItemUsers1795132800013 implements MigrationInterface {
  /** Written anew: updated, each row would leave a dead one behind, and dead entries in every index. */
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE reservation_items RENAME TO reservation_items_before');
    await runner.query(`
      CREATE TABLE reservation_items (
        reservation_id uuid NOT NULL,
        user_id uuid NOT NULL,
        product_id uuid NOT NULL,
        warehouse_id uuid NOT NULL,
        quantity integer NOT NULL,
        unit_price numeric(14,2) NOT NULL
      )`);
    // A left join, so that an item without its reservation stops the migration instead of being lost.
    await runner.query(`
      INSERT INTO reservation_items
      SELECT reservation_id, user_id, product_id, warehouse_id, quantity, unit_price
      FROM reservation_items_before LEFT JOIN reservations ON id = reservation_id
      ORDER BY reservation_id`);
    await runner.query('DROP TABLE reservation_items_before');
    await runner.query(`
      ALTER TABLE reservation_items
        ADD CONSTRAINT reservation_items_pkey PRIMARY KEY (reservation_id, product_id, warehouse_id),
        ADD CONSTRAINT reservation_items_quantity_positive CHECK (quantity > 0)`);
    await runner.query('CREATE INDEX reservation_items_by_product ON reservation_items (product_id, reservation_id)');
    await runner.query(`
      CREATE INDEX reservation_items_by_user ON reservation_items (user_id, product_id, reservation_id)`);
  }

  /** With the index on it. */
  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE reservation_items DROP COLUMN user_id');
  }
}
