import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { HealthCheckService, TypeOrmHealthIndicator } from '@nestjs/terminus';
import { DatabaseUnavailable } from '../errors/domain-errors';
import { ApiData } from '../http/api-docs';
import { Public } from '../security/access.decorators';
import { HealthResponse } from './health.dto';

const PING_TIMEOUT_MS = 1500;

@ApiTags('Operations')
@Public()
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly database: TypeOrmHealthIndicator,
  ) {}

  @Get('live')
  @ApiOperation({
    summary: 'Whether the process runs',
    description: 'Asks nothing of the database: restarting the process would not mend that.',
  })
  @ApiData(HealthResponse, 'It runs.')
  live(): HealthResponse {
    return { status: 'ok' };
  }

  @Get('ready')
  @ApiOperation({ summary: 'Whether the process can serve: its database answers' })
  @ApiData(HealthResponse, 'It can serve.')
  async ready(): Promise<HealthResponse> {
    try {
      await this.health.check([() => this.database.pingCheck('database', { timeout: PING_TIMEOUT_MS })]);
      return { status: 'ok' };
    } catch {
      throw new DatabaseUnavailable();
    }
  }
}
