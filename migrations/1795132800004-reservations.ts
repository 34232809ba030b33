import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Reservations1795132800004 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE reservations (
        id uuid CONSTRAINT reservations_pkey PRIMARY KEY,
        user_id uuid NOT NULL,
        status text NOT NULL,
        expires_at timestamptz(3) NOT NULL,
        order_id uuid CONSTRAINT reservations_order_unique UNIQUE,
        total_amount numeric(24,2) NOT NULL,
        currency character(3) NOT NULL,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT reservations_status_known CHECK (status IN ('active', 'committed', 'cancelled', 'expired'))
      )`);
    await runner.query('CREATE INDEX reservations_by_time ON reservations (created_at, id)');
    await runner.query('CREATE INDEX reservations_by_user ON reservations (user_id, created_at, id)');
    await runner.query(`CREATE INDEX reservations_due ON reservations (expires_at) WHERE status = 'active'`);
    await runner.query(`
      CREATE TABLE reservation_items (
        reservation_id uuid NOT NULL CONSTRAINT reservation_items_reservation REFERENCES reservations,
        product_id uuid NOT NULL,
        warehouse_id uuid NOT NULL,
        quantity integer NOT NULL,
        unit_price numeric(14,2) NOT NULL,
        CONSTRAINT reservation_items_pkey PRIMARY KEY (reservation_id, product_id, warehouse_id),
        CONSTRAINT reservation_items_quantity_positive CHECK (quantity > 0)
      )`);
    await runner.query('CREATE INDEX reservation_items_by_product ON reservation_items (product_id, reservation_id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE reservation_items, reservations');
  }
}
