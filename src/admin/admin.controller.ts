import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { ApiData } from '../platform/http/api-docs';
import { Roles } from '../platform/security/access.decorators';
import { BusinessMetricsResponse, ReconciliationResponse } from './admin.dto';
import { BusinessMetrics } from './business-metrics';
import { Reconciliation } from './reconciliation';

@ApiTags('Operations')
@Roles('admin')
@Controller('api/admin')
export class AdminController {
  constructor(
    private readonly business: BusinessMetrics,
    private readonly reconciliation: Reconciliation,
  ) {}

  @Get('metrics')
  @ApiOperation({ summary: 'The numbers of the business, of one moment' })
  @ApiData(BusinessMetricsResponse, 'Orders, revenue, reservations and stock.')
  metrics(): Promise<BusinessMetricsResponse> {
    return this.business.read();
  }

  @Get('reconciliation')
  @ApiOperation({
    summary: 'Does the stock equal the ledger, and what is reserved the active reservations?',
    description: 'For every product and warehouse, in one snapshot.',
  })
  @ApiData(ReconciliationResponse, 'The comparison, with every difference.')
  reconcile(): Promise<ReconciliationResponse> {
    return this.reconciliation.check();
  }
}
