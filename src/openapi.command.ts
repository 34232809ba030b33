import 'reflect-metadata';
import { writeFile } from 'node:fs/promises';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { AppModule } from './app.module';
import { describeWebhooks } from './events/webhook-docs';
import { loadConfig } from './platform/config/app-config';
import { openApiDocument } from './platform/http/openapi';
import { Metrics } from './platform/metrics/metrics';
import { AccessTokens } from './platform/security/access-tokens';
import { Secrets } from './platform/security/secrets';

const FILE = 'docs/openapi.json';

void main();

/** Writes the OpenAPI document from the declarations: in Nest's preview mode nothing is created or connected. */
async function main(): Promise<void> {
  const secrets = new Secrets('not used here');
  const tokens = new AccessTokens(secrets.jwtSecret, 1);
  const foundation = { config: loadConfig({}), databaseUrl: '', secrets, tokens, metrics: new Metrics() };
  const module = AppModule.forRoot(foundation, { cronJobs: false });
  const app = await NestFactory.create(module, new FastifyAdapter(), { preview: true, logger: ['error'] });
  await writeFile(FILE, `${JSON.stringify(openApiDocument(app, describeWebhooks()), null, 2)}\n`);
}
