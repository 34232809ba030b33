import type { MigrationInterface, QueryRunner } from 'typeorm';
import { ReportProgress1795132800011 } from './1795132800011-report-progress';

/** A long read no longer says how far it is: the log has how long it has taken. */
export class NoReportProgress1795132800014 implements MigrationInterface {
  up(runner: QueryRunner): Promise<void> {
    return new ReportProgress1795132800011().down(runner);
  }

  down(runner: QueryRunner): Promise<void> {
    return new ReportProgress1795132800011().up(runner);
  }
}
