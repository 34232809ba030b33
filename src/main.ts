import './platform/config/env-file';
import 'reflect-metadata';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApp } from './app.setup';
import { AuditMonths } from './audit/audit-months';
import { type Admin, ensureAdmin } from './first-admin';
import { openDatabase } from './open-database';
import { type AppConfig, loadConfig } from './platform/config/app-config';
import { migrate } from './platform/database/migrate';
import { checkSessions } from './platform/database/start-checks';
import { log } from './platform/logging/logger';
import { loadSecrets } from './platform/security/secrets';
import { Failure, type Program, runProgram } from './program';

/** How long requests in flight may take after the signal to stop; then their connections are cut. */
const LAST_REQUESTS_MS = 10_000;

void runProgram('Holdfast did not start.', serve);

async function serve(program: Program): Promise<void> {
  const config = loadConfig();
  log.level = config.logLevel;
  const database = await program.keep(openDatabase(config), (opened) => opened.stop());
  await checkSessions(database.url, config);
  await migrate(database.direct.url, database.direct.variable);
  const parts = { config, databaseUrl: database.url, secrets: await loadSecrets(config) };
  const app = await program.keep(createApp(parts, { cronJobs: true }), close);
  await app.get(AuditMonths, { strict: false }).makeOnSchedule();
  const admin = await ensureAdmin(app, config);
  await listen(app, config);
  announce(app, config, admin);
  await program.interrupted;
  log.info('stopping: requests in flight are served first');
}

async function listen(app: NestFastifyApplication, { port, host }: AppConfig): Promise<void> {
  try {
    // Not app.listen(), which would write its own error beside ours.
    await app.getHttpAdapter().getInstance().listen({ port, host });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === 'EADDRINUSE'
      ? new Failure(`PORT: ${port} on ${host} is taken by another program`)
      : new Failure(`PORT, HOST: cannot listen on ${host}:${port} (${code ?? String(error)})`);
  }
}

async function close(app: NestFastifyApplication): Promise<void> {
  setTimeout(() => app.getHttpServer().closeAllConnections(), LAST_REQUESTS_MS).unref();
  const wasServing = app.getHttpServer().listening;
  await app.close();
  if (wasServing) {
    log.info('stopped');
  }
}

function announce(app: NestFastifyApplication, config: AppConfig, admin: Admin | undefined): void {
  const { port } = app.getHttpServer().address() as { port: number };
  const address = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`;
  if (config.isProduction) {
    log.info({ address }, 'ready');
    return;
  }
  const lines = [
    ['API', `${address}/api`],
    ['Docs', `${address}/docs`],
    ['Data', config.databaseUrl === undefined ? `${config.dataDir} (embedded PostgreSQL)` : 'DATABASE_URL'],
    ['Admin', admin?.email],
    ['Password', admin?.newPassword && `${admin.newPassword}   (shown this once)`],
  ];
  const table = lines
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `  ${name!.padEnd(10)}${value}`);
  process.stdout.write(`\nHoldfast is ready. Ctrl-C stops it.\n\n${table.join('\n')}\n\n`);
}
