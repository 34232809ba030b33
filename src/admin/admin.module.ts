import { Module } from '@nestjs/common';
import { AdminController } from './admin.controller';
import { BusinessMetrics } from './business-metrics';
import { Reconciliation } from './reconciliation';

/** Read-only reports on everything. */
@Module({
  controllers: [AdminController],
  providers: [BusinessMetrics, Reconciliation],
})
export class AdminModule {}
