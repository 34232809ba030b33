import { type DynamicModule, Global, Module, type OnModuleInit } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { TerminusModule } from '@nestjs/terminus';
import { InjectDataSource, TypeOrmModule } from '@nestjs/typeorm';
import { ClsService, ClsServiceManager } from 'nestjs-cls';
import type { DataSource } from 'typeorm';
import { CommandQueues } from './batching/command-queues';
import { AppConfig } from './config/app-config';
import { RequestContext } from './context/request-context';
import { LongReads } from './database/long-reads';
import { TransactionRunner } from './database/transaction-runner';
import { poolUse, serviceOptions } from './database/typeorm-options';
import { ProblemFilter } from './errors/problem.filter';
import { ProblemsController } from './errors/problems.controller';
import { DatabaseProbe } from './health/database-probe';
import { HealthController } from './health/health.controller';
import { HomeController } from './http/home.controller';
import { StrictValidationPipe } from './http/validation.pipe';
import { IdempotencyKeys } from './idempotency/idempotency-keys';
import { IdempotencyService } from './idempotency/idempotency.service';
import { Metrics } from './metrics/metrics';
import { MetricsController } from './metrics/metrics.controller';
import { AccessTokens } from './security/access-tokens';
import { Secrets } from './security/secrets';

/** What a process is started with; created before Nest. */
export interface Foundation {
  config: AppConfig;
  databaseUrl: string;
  secrets: Secrets;
  tokens: AccessTokens;
  metrics: Metrics;
}

@Global()
@Module({})
export class PlatformModule implements OnModuleInit {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly metrics: Metrics,
  ) {}

  static forRoot({ config, databaseUrl, secrets, tokens, metrics }: Foundation): DynamicModule {
    return {
      module: PlatformModule,
      imports: [
        TypeOrmModule.forRoot({ ...serviceOptions(databaseUrl, config), retryAttempts: 0 }),
        TerminusModule.forRoot({ logger: false }),
      ],
      controllers: [HomeController, HealthController, MetricsController, ProblemsController],
      providers: [
        { provide: AppConfig, useValue: config },
        { provide: Secrets, useValue: secrets },
        { provide: AccessTokens, useValue: tokens },
        { provide: Metrics, useValue: metrics },
        { provide: APP_FILTER, useClass: ProblemFilter },
        { provide: APP_PIPE, useClass: StrictValidationPipe },
        // Not by its module, which would add an idle guard and interceptor to every request.
        { provide: ClsService, useValue: ClsServiceManager.getClsService() },
        RequestContext,
        TransactionRunner,
        LongReads,
        CommandQueues,
        IdempotencyKeys,
        IdempotencyService,
        DatabaseProbe,
      ],
      exports: [
        ...[AppConfig, Secrets, AccessTokens, Metrics, RequestContext, TransactionRunner, LongReads],
        ...[CommandQueues, IdempotencyKeys, IdempotencyService],
      ],
    };
  }

  onModuleInit(): void {
    this.metrics.watchPool(() => poolUse(this.dataSource));
  }
}
