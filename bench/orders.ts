import 'reflect-metadata';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { Client } from 'pg';
import { migrate } from '../src/platform/database/migrate';
import { startEmbeddedPostgres } from '../src/platform/embedded-postgres/embedded-postgres';
import { Failure, type Program, runProgram } from '../src/program';
import { measureAdminReads } from './admin-reads';
import { combinationsOf, type Past, type PageQuery } from './order-queries';
import { type At, type Measured, ordersReportOf, type Timed } from './orders-report';
import { type OtherList, otherLists } from './other-lists';
import { PORT, startService, tokenFor } from './service';
import { median, quantile } from './statistics';

const RESULTS = 'bench/RESULTS-ORDERS.md';
const CLIENTS = 32;
/** How often each combination is measured. */
const REPEATS = 12;
const PAGE = 20;
const FAR_PAGE = 10_000;
const STATISTICS_DELAY_MS = 11_000;
const ADMIN = '00000000-0000-7000-8000-00000000ad31';
const RESELLER = '00000000-0000-7000-8000-00000000b166';

interface Target {
  databaseUrl: string;
  token: string;
  client: Client;
}

void runProgram('The bench failed.', bench);

async function bench(program: Program): Promise<void> {
  const sizes = readArguments();
  const remove = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });
  const dataDir = await program.keep(mkdtemp(join(tmpdir(), 'holdfast-bench-')), remove);
  const database = await program.keep(startEmbeddedPostgres({ dataDir }), (opened) => opened.stop());
  await migrate(database.url);
  const client = new Client(database.url);
  await program.keep(client.connect(), () => client.end());
  await program.keep(startService(database.url, dataDir), (stop) => stop());
  const target = { databaseUrl: database.url, token: tokenFor(ADMIN, 'admin'), client };
  const measured: At[] = [];
  for (const size of sizes) {
    await fillUpTo(target, size);
    measured.push(await measureAt(target, size));
  }
  const report = ordersReportOf(measured);
  await writeFile(RESULTS, report);
  process.stdout.write(`\n${report}`);
}

function readArguments(): number[] {
  const { values } = parseArgs({ options: { orders: { type: 'string', default: '10000,1000000' } } });
  const sizes = values.orders.split(',').map(Number);
  if (sizes.some((size, index) => !Number.isSafeInteger(size) || size <= (sizes[index - 1] ?? 999))) {
    throw new Failure('--orders must be whole numbers from 1000, comma-separated, each larger than the one before');
  }
  return sizes;
}

/** Seeds orders with one product for every ten, so that there are enough products to search. */
async function fillUpTo({ databaseUrl, client }: Target, size: number): Promise<void> {
  const { rows } = await client.query<{ orders: number }>('SELECT count(*)::int AS orders FROM orders');
  const missing = size - rows[0]!.orders;
  progress(`making ${missing} orders`);
  await promisify(execFile)(
    process.execPath,
    [join(__dirname, '../src/seed.command.js'), '--orders', `${missing}`, '--products', `${Math.ceil(missing / 10)}`],
    { env: { ...process.env, DATABASE_URL: databaseUrl }, maxBuffer: 2 ** 26 },
  );
  await client.query('VACUUM ANALYZE');
}

async function measureAt(target: Target, orders: number): Promise<At> {
  const { client } = target;
  const combinations = combinationsOf(await pastOf(client));
  const customersOrders = await giveOrdersTo(RESELLER, client);
  await nameOldProducts(client);
  progress(`${orders} orders: the lists of an administrator`);
  const all = await measureLists(target, combinations);
  progress(`${orders} orders: those of a customer with ${customersOrders} of them`);
  const own = await measureLists({ ...target, token: tokenFor(RESELLER, 'user') }, combinations);
  progress(`${orders} orders: the other lists`);
  const others = await measureOthers(target, await otherLists(client));
  const admin = await measureAdminReads(target);
  progress(`${orders} orders: pages`);
  const statements = await statementsOfAPage(target, combinations);
  const far = await farPage(target, orders);
  const pagesPerSecond = await storm(target, combinations);
  return { orders, customersOrders, all, own, others, admin, statements, far, pagesPerSecond };
}

/** Assigns a twentieth of all orders, of every kind, to one customer, with their reservations: 50,000 of a million. */
async function giveOrdersTo(customer: string, client: Client): Promise<number> {
  const { rowCount } = await client.query('UPDATE orders SET user_id = $1 WHERE get_byte(uuid_send(id), 15) % 20 = 0', [
    customer,
  ]);
  await client.query(
    `WITH given AS (
       UPDATE reservations SET user_id = $1 WHERE order_id IN (SELECT id FROM orders WHERE user_id = $1) RETURNING id)
     UPDATE reservation_items SET user_id = $1 WHERE reservation_id IN (SELECT id FROM given)`,
    [customer],
  );
  await client.query('VACUUM ANALYZE orders, reservations, reservation_items');
  return rowCount!;
}

/** Adds texts that many products match, but none of the newest fifth: a tenth is vintage, three tenths are retro. */
async function nameOldProducts(client: Client): Promise<void> {
  await client.query(
    `UPDATE products SET name = name || CASE WHEN number % 10 = 0 THEN ' vintage' ELSE ' retro' END
     FROM (SELECT id, row_number() OVER (ORDER BY created_at DESC, id DESC) AS number FROM products) AS numbered
     WHERE numbered.id = products.id AND number % 10 < 4 AND number > (SELECT count(*) / 5 FROM products)
       AND name NOT LIKE '% vintage' AND name NOT LIKE '% retro'`,
  );
  await client.query('VACUUM ANALYZE products');
}

/** Measures the empty answer between the lists, so that other work on the machine affects both equally. */
async function measureLists(target: Target, combinations: PageQuery[]): Promise<Measured> {
  for (const query of combinations) {
    await get(target, `/api/orders?${query}`);
    await get(target, '/health/live');
  }
  const live: number[] = [];
  const lists: Measured['lists'] = [];
  for (const query of combinations) {
    lists.push({ query, time: await timeOf(target, `/api/orders?${query}`) });
    live.push((await timeOf(target, '/health/live', 4)).p50);
  }
  return { live: median(live), lists };
}

async function measureOthers(target: Target, lists: OtherList[]): Promise<At['others']> {
  const measured: At['others'] = [];
  const customer = { ...target, token: tokenFor(RESELLER, 'user') };
  for (const { name, path, isOwn } of lists) {
    const live = await timeOf(target, '/health/live', 20);
    measured.push({ name, time: await timeOf(isOwn ? customer : target, path), live: live.p50 });
  }
  return measured;
}

/** The filter values, chosen as shares of the existing orders. */
async function pastOf(client: Client): Promise<Past> {
  const { rows } = await client.query<Past>(
    `SELECT percentile_disc(0.1) WITHIN GROUP (ORDER BY total_amount) AS low,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY total_amount) AS middle,
       percentile_disc(0.999) WITHIN GROUP (ORDER BY total_amount) AS rare,
       min(created_at) AS first, max(created_at) AS last FROM orders`,
  );
  return rows[0]!;
}

async function timeOf(target: Target, path: string, repeats = REPEATS): Promise<Timed> {
  const times: number[] = [];
  for (let round = -1; round < repeats; round += 1) {
    const startedAt = performance.now();
    await get(target, path);
    if (round >= 0) {
      times.push(performance.now() - startedAt);
    }
  }
  return { p50: median(times), p95: quantile(times, 0.95) };
}

interface PageBody {
  data: unknown[];
  page?: { next_cursor: string | null };
}

async function get({ token }: Target, path: string): Promise<PageBody> {
  const response = await fetch(`http://127.0.0.1:${PORT}${path}`, { headers: { Authorization: `Bearer ${token}` } });
  const body = (await response.json()) as PageBody;
  if (response.status !== 200) {
    throw new Failure(`GET ${path} was answered with ${response.status}: ${JSON.stringify(body)}`);
  }
  return body;
}

/** PostgreSQL counts transactions, and each read statement of the service is one. */
async function statementsOfAPage(target: Target, combinations: PageQuery[]): Promise<number> {
  const before = await transactions(target.client);
  for (const query of combinations) {
    await get(target, `/api/orders?${query}`);
  }
  return ((await transactions(target.client)) - before - 1) / combinations.length;
}

async function transactions(client: Client): Promise<number> {
  // An idle backend reports its statistics after ten seconds at the latest.
  await new Promise((resolve) => setTimeout(resolve, STATISTICS_DELAY_MS));
  const { rows } = await client.query<{ count: number }>(
    'SELECT (xact_commit + xact_rollback)::int AS count FROM pg_stat_database WHERE datname = current_database()',
  );
  return rows[0]!.count;
}

/** Compares page 10,000 of the unfiltered list with the first; or the last page, if there are fewer. */
async function farPage(target: Target, orders: number): Promise<{ page: number; ratio: number }> {
  const page = Math.min(FAR_PAGE, Math.floor(orders / PAGE) - 1);
  let cursor: string | null = null;
  for (let skipped = 0; skipped < (page - 1) * PAGE; skipped += 100) {
    const at: string = cursor === null ? '' : `&cursor=${cursor}`;
    const left = Math.min(100, (page - 1) * PAGE - skipped);
    cursor = (await get(target, `/api/orders?limit=${left}${at}`)).page!.next_cursor;
  }
  const first = await timeOf(target, '/api/orders', 200);
  const far = await timeOf(target, `/api/orders?cursor=${cursor}`, 200);
  return { page, ratio: far.p50 / first.p50 };
}

async function storm(target: Target, combinations: PageQuery[]): Promise<number> {
  const end = performance.now() + 5_000;
  let pages = 0;
  const run = async (): Promise<void> => {
    while (performance.now() < end) {
      await get(target, `/api/orders?${combinations[pages++ % combinations.length]}`);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, run));
  return pages / 5;
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}
