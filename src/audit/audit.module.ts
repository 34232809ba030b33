import { Global, Module } from '@nestjs/common';
import { AuditMonths } from './audit-months';
import { AuditController } from './audit.controller';
import { AuditService } from './audit.service';

@Global()
@Module({
  controllers: [AuditController],
  providers: [AuditService, AuditMonths],
  exports: [AuditService],
})
export class AuditModule {}
