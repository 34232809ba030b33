import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a long read called for some of its rows, until migration 14. */
export class ReportProgress1795132800011 implements MigrationInterface {
  /** The planner counts its cost for every row; at the default it would think the scan several times as dear as it is. */
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION report_progress() RETURNS boolean LANGUAGE plpgsql PARALLEL SAFE COST 1 AS $$
      BEGIN
        RAISE INFO 'progress';
        RETURN true;
      END $$`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP FUNCTION report_progress()');
  }
}
