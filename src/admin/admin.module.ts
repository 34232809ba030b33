import { Module } from '@nestjs/common';
import { AdminController } from './admin.controller';
import { BusinessMetrics } from './business-metrics';
import { Reconciliation } from './reconciliation';

/** Looks over everything and changes nothing. */
@Module({
  controllers: [AdminController],
  providers: [BusinessMetrics, Reconciliation],
})
export class AdminModule {}
