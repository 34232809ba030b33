import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { ApiData } from '../platform/http/api-docs';
import { HangUp } from '../platform/http/hang-up';
import { Roles } from '../platform/security/access.decorators';
import { BusinessMetricsResponse, ReconciliationResponse } from './admin.dto';
import { BusinessMetrics } from './business-metrics';
import { Reconciliation } from './reconciliation';

const LONG_READ =
  'Takes seconds with millions of orders, and does not block writes. Cancelled when the caller hangs up. ' +
  'A process runs two such reads at a time; up to a hundred others wait, and more get `overloaded`.';

@ApiTags('Operations')
@Roles('admin')
@Controller('api/admin')
export class AdminController {
  constructor(
    private readonly business: BusinessMetrics,
    private readonly reconciliation: Reconciliation,
  ) {}

  @Get('metrics')
  @ApiOperation({ summary: 'Business metrics, from one snapshot', description: LONG_READ })
  @ApiData(BusinessMetricsResponse, 'Orders, revenue, reservations and stock.')
  metrics(@HangUp() hangUp: AbortSignal): Promise<BusinessMetricsResponse> {
    return this.business.read(hangUp);
  }

  @Get('reconciliation')
  @ApiOperation({
    summary: 'Whether stock matches the ledger, and reserved pieces the active reservations',
    description: `For every product and warehouse, in one snapshot. ${LONG_READ}`,
  })
  @ApiData(ReconciliationResponse, 'The comparison, with every difference.')
  reconcile(@HangUp() hangUp: AbortSignal): Promise<ReconciliationResponse> {
    return this.reconciliation.check(hangUp);
  }
}
