import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { ApiPage, ApiProblems } from '../platform/http/api-docs';
import type { Page } from '../platform/http/page';
import { Roles } from '../platform/security/access.decorators';
import { AuditLogResponse, AuditQuery } from './audit.dto';
import { AuditService } from './audit.service';

@ApiTags('Audit')
@Controller('api/audit-logs')
export class AuditController {
  constructor(private readonly audit: AuditService) {}

  @Get()
  @Roles('admin')
  @ApiOperation({ summary: 'Who did what, newest first' })
  @ApiPage(AuditLogResponse, 'One page of the audit log.')
  @ApiProblems('invalid_cursor')
  list(@Query() query: AuditQuery): Promise<Page<AuditLogResponse>> {
    return this.audit.list(query);
  }
}
