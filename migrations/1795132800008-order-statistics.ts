import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Totals have a long tail: the hundredth part of the orders with the largest ones reaches from the price of a chair to
 * that of a house. By default PostgreSQL keeps one step for all of them, takes a rare total for ten times as frequent as
 * it is, and looks for it among the newest orders one by one.
 */
export class OrderStatistics1795132800008 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE orders ALTER COLUMN total_amount SET STATISTICS 1000');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE orders ALTER COLUMN total_amount SET STATISTICS -1');
  }
}
