import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Each status of the list in both of its orders, with both columns that a range may narrow: docs/decisions/0009. */
export class OrderLists1795132800008 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP INDEX orders_by_time, orders_by_value, orders_by_status_time, orders_by_user_time, orders_by_user_value`);
    await runner.query('CREATE INDEX orders_by_time ON orders (status, created_at, id, total_amount)');
    await runner.query('CREATE INDEX orders_by_value ON orders (status, total_amount, id, created_at)');
    await runner.query('CREATE INDEX orders_by_user_time ON orders (user_id, status, created_at, id, total_amount)');
    await runner.query('CREATE INDEX orders_by_user_value ON orders (user_id, status, total_amount, id, created_at)');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX orders_by_time, orders_by_value, orders_by_user_time, orders_by_user_value');
    await runner.query('CREATE INDEX orders_by_time ON orders (created_at, id)');
    await runner.query('CREATE INDEX orders_by_value ON orders (total_amount, id)');
    await runner.query('CREATE INDEX orders_by_status_time ON orders (status, created_at, id)');
    await runner.query('CREATE INDEX orders_by_user_time ON orders (user_id, created_at, id)');
    await runner.query('CREATE INDEX orders_by_user_value ON orders (user_id, total_amount, id)');
  }
}
