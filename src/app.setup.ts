import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule, type AppOptions } from './app.module';
import { EventJobs } from './events/event-jobs';
import { describeWebhooks } from './events/webhook-docs';
import { SweepSchedule } from './inventory/reservations/sweep-schedule';
import type { AppConfig } from './platform/config/app-config';
import { serveDocs } from './platform/http/docs';
import { openApiDocument } from './platform/http/openapi';
import { createHttpServer } from './platform/http/http-server';
import { secureHeaders } from './platform/http/security-headers';
import { NestLogger } from './platform/logging/logger';
import { Metrics } from './platform/metrics/metrics';
import { AccessTokens } from './platform/security/access-tokens';
import { authenticationBy } from './platform/security/authentication';
import { ExternalTokens } from './platform/security/external-tokens';
import { limitRates } from './platform/security/rate-limit';
import type { Secrets } from './platform/security/secrets';

export interface AppParts {
  config: AppConfig;
  databaseUrl: string;
  secrets: Secrets;
}

/** Creates the whole application, ready to listen; used by `main` and the tests. */
export async function createApp(
  { config, databaseUrl, secrets }: AppParts,
  options: AppOptions,
): Promise<NestFastifyApplication> {
  const tokens = new AccessTokens(secrets.jwtSecret, config.jwtTtlSeconds, {
    previousSecret: secrets.previousJwtSecret,
    issuer: config.jwtIssuer,
    audience: config.jwtAudience,
  });
  const external = config.externalIssuer && new ExternalTokens(config.externalIssuer);
  const metrics = new Metrics();
  const server = createHttpServer(config, authenticationBy(tokens, external), metrics);
  secureHeaders(server);
  await limitRates(server, config);
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.forRoot({ config, databaseUrl, secrets, tokens, metrics }, options),
    new FastifyAdapter(server),
    { bodyParser: false, logger: new NestLogger(), abortOnError: false },
  );
  try {
    await serveDocs(app, openApiDocument(app, describeWebhooks()));
    await app.init();
    server.sealRoutes();
    await server.ready();
    if (options.cronJobs) {
      app.get(SweepSchedule, { strict: false }).start();
      app.get(EventJobs, { strict: false }).start();
    }
    return app;
  } catch (error) {
    await app.close();
    throw error;
  }
}
