import './platform/config/env-file';
import 'reflect-metadata';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApp } from './app.setup';
import { type Admin, type Database, ensureAdmin, openDatabase } from './bootstrap';
import { type AppConfig, loadConfig } from './platform/config/app-config';
import { migrate } from './platform/database/migrate';
import { log } from './platform/logging/logger';
import { loadSecrets } from './platform/security/secrets';
import { AddressUnusable, reportFailedStart } from './report-failed-start';

/** How long requests in flight may take to end after the signal to stop. */
const SHUTDOWN_DEADLINE_MS = 15_000;

void main();

async function main(): Promise<void> {
  let database: Database | undefined;
  let app: NestFastifyApplication | undefined;
  try {
    const config = loadConfig();
    log.level = config.logLevel;
    database = await openDatabase(config);
    await migrate(database.url);
    app = await createApp(
      { config, databaseUrl: database.url, secrets: await loadSecrets(config) },
      { cronJobs: true },
    );
    const admin = await ensureAdmin(app, config);
    await listen(app, config);
    stopOnSignal(app, database);
    announce(app, config, admin);
  } catch (error) {
    await app?.close();
    await database?.stop();
    reportFailedStart(error);
  }
}

async function listen(app: NestFastifyApplication, { port, host }: AppConfig): Promise<void> {
  try {
    await app.listen(port, host);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === 'EADDRINUSE'
      ? new AddressUnusable(`PORT: ${port} on ${host} is taken by another program`)
      : new AddressUnusable(`PORT, HOST: cannot listen on ${host}:${port} (${code ?? String(error)})`);
  }
}

function stopOnSignal(app: NestFastifyApplication, database: Database): void {
  let isStopping = false;
  const stop = async (signal: string): Promise<void> => {
    // Ctrl-C arrives twice: from the terminal, and from npm. The deadline is for what hangs.
    if (isStopping) {
      return;
    }
    isStopping = true;
    log.info({ signal }, 'stopping: requests in flight are served first');
    setTimeout(() => process.exit(1), SHUTDOWN_DEADLINE_MS).unref();
    await app.close();
    await database.stop();
    log.info('stopped');
  };
  process.on('SIGINT', (signal) => void stop(signal));
  process.on('SIGTERM', (signal) => void stop(signal));
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
