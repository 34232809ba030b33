import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Which products are low on stock or out of it, as it was told last. */
export class Alerts1795132800019 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE product_alerts (
        product_id uuid PRIMARY KEY,
        state text NOT NULL,
        CONSTRAINT product_alerts_state_known CHECK (state IN ('low', 'out'))
      )`);
    // What is low or out already has crossed nothing.
    await runner.query(`
      INSERT INTO product_alerts
      SELECT product.id, CASE WHEN stock.available = 0 THEN 'out' ELSE 'low' END
      FROM products AS product CROSS JOIN LATERAL (
        SELECT coalesce(sum(available + coalesce(held, 0)), 0) AS available
        FROM stock_levels AS level LEFT JOIN (
          SELECT product_id, warehouse_id, sum(quantity) AS held
          FROM reservations JOIN reservation_items ON reservation_id = id
          WHERE status = 'active' AND expires_at <= statement_timestamp()
          GROUP BY product_id, warehouse_id
        ) AS overdue USING (product_id, warehouse_id)
        WHERE level.product_id = product.id
      ) AS stock
      WHERE stock.available = 0 OR stock.available <= product.low_stock_threshold`);
    // Later events may be new crossings.
    await runner.query(`
      INSERT INTO event_consumers (name, cursor)
      SELECT 'stock-alerts', rtrim(translate(encode(convert_to(era || '.' || tick, 'UTF8'), 'base64'), '+/', '-_'), '=')
      FROM event_head`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DELETE FROM event_consumers WHERE name = 'stock-alerts'`);
    await runner.query('DROP TABLE product_alerts');
  }
}
