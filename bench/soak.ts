import 'reflect-metadata';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { migrate } from '../src/platform/database/migrate';
import { startEmbeddedPostgres } from '../src/platform/embedded-postgres/embedded-postgres';
import { Failure, type Program, runProgram } from '../src/program';
import { PORT, startService, tokenFor } from './service';
import { Shop } from './shop';
import { type Reading, soakReportOf } from './soak-report';
import { quantile } from './statistics';

const USAGE = `npm run soak -- --minutes 10 [--clients 16]

Starts a service on an embedded PostgreSQL and simulates customers and an administrator for so many minutes. Prints
memory, connections, event loop and tables every ten seconds, checks the stock at the end, and writes
bench/RESULTS-SOAK.md.
`;
const RESULTS = 'bench/RESULTS-SOAK.md';
const INTERVAL_MS = 10_000;
const URL = `http://127.0.0.1:${PORT}`;

void runProgram('The soak could not begin.', soak);

async function soak(program: Program): Promise<void> {
  const { minutes, clients } = readArguments();
  const remove = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });
  const dataDir = await program.keep(mkdtemp(join(tmpdir(), 'holdfast-soak-')), remove);
  const database = await program.keep(startEmbeddedPostgres({ dataDir }), (opened) => opened.stop());
  await migrate(database.url);
  const client = new Client(database.url);
  await program.keep(client.connect(), () => client.end());
  await program.keep(startService(database.url, dataDir), (stop) => stop());
  const admin = tokenFor('00000000-0000-7000-8000-00000000ad31', 'admin');
  const shop = await Shop.open(URL, admin);
  const end = performance.now() + minutes * 60_000;
  const customers = Array.from({ length: clients }, () => shop.visit(() => performance.now() < end));
  const readings = await watch(shop, client, end);
  await Promise.all(customers);
  const isRight = await shop.isReconciled();
  const report = soakReportOf(readings, { minutes, clients, isRight });
  await writeFile(RESULTS, report);
  process.stdout.write(`\n${report}`);
  process.exitCode = isRight && shop.surprises.size === 0 ? 0 : 1;
  shop.surprises.forEach((count, what) => process.stderr.write(`${count} × ${what}\n`));
}

function readArguments(): { minutes: number; clients: number } {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { minutes: text, clients: text, help: { type: 'boolean' } } });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  return {
    minutes: wholeNumber('--minutes', values.minutes ?? '10', 10_000),
    clients: wholeNumber('--clients', values.clients ?? '16', 1000),
  };
}

function wholeNumber(name: string, value: string, max: number): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < 1 || number > max) {
    throw new Failure(`${name} must be a whole number from 1 to ${max}`);
  }
  return number;
}

async function watch(shop: Shop, client: Client, end: number): Promise<Reading[]> {
  const readings: Reading[] = [];
  const begin = performance.now();
  for (let at = begin; at < end; at = performance.now()) {
    await sleep(Math.min(INTERVAL_MS, end - at));
    const times = shop.takeTimes();
    const reading = {
      minute: (performance.now() - begin) / 60_000,
      perSecond: times.length / ((performance.now() - at) / 1000),
      p99: quantile(times, 0.99),
      ...(await useOfService()),
      ...(await useOfDatabase(client)),
    };
    readings.push(reading);
    const shown = Object.entries(reading).map(([name, value]) => `${name} ${Number(value).toFixed(2)}`);
    process.stderr.write(`${shown.join(', ')}\n`);
  }
  return readings;
}

async function useOfService(): Promise<Pick<Reading, 'residentMb' | 'heapMb' | 'lagMs'>> {
  const text = await (await fetch(`${URL}/metrics`)).text();
  const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  return {
    residentMb: value('process_resident_memory_bytes') / 2 ** 20,
    heapMb: value('nodejs_heap_size_used_bytes') / 2 ** 20,
    lagMs: value('nodejs_eventloop_lag_p99_seconds') * 1000,
  };
}

type OfDatabase = Pick<Reading, 'connections' | 'levelsKb' | 'deadShare' | 'reservations'>;

/** The levels are a fixed number of constantly updated rows, so any growth of their table is bloat. */
async function useOfDatabase(client: Client): Promise<OfDatabase> {
  const { rows } = await client.query<OfDatabase>(`
    SELECT (SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'holdfast') AS connections,
      (pg_total_relation_size('stock_levels') / 1024)::int AS "levelsKb",
      (SELECT count(*)::int FROM reservations) AS reservations,
      (SELECT max(n_dead_tup / greatest(1, n_live_tup + n_dead_tup)::float8) FROM pg_stat_user_tables
       WHERE n_live_tup + n_dead_tup > 10000) AS "deadShare"`);
  return rows[0]!;
}
