import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { HealthCheckService, HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { DatabaseUnavailable } from '../errors/domain-errors';
import { ApiData } from '../http/api-docs';
import { Public } from '../security/access.decorators';
import { DatabaseProbe } from './database-probe';
import { HealthResponse } from './health.dto';

@ApiTags('Operations')
@Public()
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly database: DatabaseProbe,
  ) {}

  @Get('live')
  @ApiOperation({
    summary: 'Whether the process runs',
    description: 'Does not check the database: restarting the process would not help.',
  })
  @ApiData(HealthResponse, 'It runs.')
  live(): HealthResponse {
    return { status: 'ok' };
  }

  @Get('ready')
  @ApiOperation({ summary: 'Whether the process can serve: its database answers, and is no standby' })
  @ApiData(HealthResponse, 'It can serve.')
  async ready(): Promise<HealthResponse> {
    await this.health.check([() => this.checkDatabase()]).catch((error: unknown) => {
      throw error instanceof DatabaseUnavailable ? error : new DatabaseUnavailable(error);
    });
    return { status: 'ok' };
  }

  private async checkDatabase(): Promise<HealthIndicatorResult> {
    await this.database.ask();
    return this.indicators.check('database').up();
  }
}
