import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import { migrate } from '../../src/platform/database/migrate';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/platform/embedded-postgres/embedded-postgres';
import { databaseUrl, SERVER_VARIABLE, TEMPLATE } from './database';
import { RUN_VARIABLE } from './once';

/** Under node_modules, so that programs that are built there find their packages. */
const CACHE = resolve(__dirname, '..', '..', 'node_modules', '.cache');

/** What the teardown has to put away. */
export interface TestServer {
  postgres?: EmbeddedPostgres;
  dataDir?: string;
}

/**
 * Starts a PostgreSQL for the tests alone, or takes the one that TEST_DATABASE_URL names, and migrates a template of
 * which every test file gets a copy of its own. Its data is thrown away, so it need not survive a crash.
 */
export default async function globalSetup(): Promise<void> {
  const server: TestServer = {};
  const folder = join(CACHE, `holdfast-${process.pid}`);
  process.env[RUN_VARIABLE] = folder;
  await mkdir(folder, { recursive: true });
  let url = process.env['TEST_DATABASE_URL'];
  if (!url) {
    server.dataDir = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
    const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' };
    server.postgres = await startEmbeddedPostgres({ dataDir: server.dataDir, settings });
    url = server.postgres.url;
  }
  process.env[SERVER_VARIABLE] = url;
  const client = new Client(url);
  await client.connect();
  await client.query(`DROP DATABASE IF EXISTS ${TEMPLATE}`);
  await client.query(`CREATE DATABASE ${TEMPLATE}`);
  await client.end();
  await migrate(databaseUrl(TEMPLATE));
  (globalThis as { testServer?: TestServer }).testServer = server;
}
