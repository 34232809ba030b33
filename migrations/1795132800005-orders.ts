import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Orders1795132800005 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE orders (
        id uuid CONSTRAINT orders_pkey PRIMARY KEY,
        user_id uuid NOT NULL,
        status text NOT NULL,
        total_amount numeric(24,2) NOT NULL,
        currency character(3) NOT NULL,
        reservation_id uuid NOT NULL CONSTRAINT orders_reservation_unique UNIQUE,
        version integer NOT NULL DEFAULT 1,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT orders_status_known CHECK (status IN
          ('pending', 'confirmed', 'processing', 'shipped', 'delivered', 'cancelled'))
      )`);
    await runner.query('CREATE INDEX orders_by_time ON orders (created_at, id)');
    await runner.query('CREATE INDEX orders_by_value ON orders (total_amount, id)');
    await runner.query('CREATE INDEX orders_by_status_time ON orders (status, created_at, id)');
    await runner.query('CREATE INDEX orders_by_user_time ON orders (user_id, created_at, id)');
    await runner.query('CREATE INDEX orders_by_user_value ON orders (user_id, total_amount, id)');
    await runner.query(`
      CREATE TABLE order_items (
        order_id uuid NOT NULL CONSTRAINT order_items_order REFERENCES orders,
        product_id uuid NOT NULL,
        warehouse_id uuid NOT NULL,
        sku text NOT NULL,
        name text NOT NULL,
        quantity integer NOT NULL,
        unit_price numeric(14,2) NOT NULL,
        CONSTRAINT order_items_pkey PRIMARY KEY (order_id, product_id, warehouse_id),
        CONSTRAINT order_items_quantity_positive CHECK (quantity > 0)
      )`);
    await runner.query(`
      CREATE TABLE order_status_changes (
        id uuid CONSTRAINT order_status_changes_pkey PRIMARY KEY,
        order_id uuid NOT NULL CONSTRAINT order_status_changes_order REFERENCES orders,
        from_status text NOT NULL,
        to_status text NOT NULL,
        actor text NOT NULL,
        reason text,
        request_id uuid NOT NULL,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
      )`);
    await runner.query('CREATE INDEX order_status_changes_by_order ON order_status_changes (order_id, created_at, id)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE order_status_changes, order_items, orders');
  }
}
