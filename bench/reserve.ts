import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { uuidv7 } from 'uuidv7';
import { migrate } from '../src/platform/database/migrate';
import { startEmbeddedPostgres } from '../src/platform/embedded-postgres/embedded-postgres';
import { Failure, type Program, runProgram } from '../src/program';
import { type Baseline, idsOf, type Products } from './baseline';
import { measureBatched } from './batched';
import { Connection, type Duration, measure, requestOf, type Worker } from './load';
import { nodeBaseline } from './node-baseline';
import { findPgbench } from './pgbench-baseline';
import { reportOf, type Round, type Scenario, SCENARIOS } from './report';
import { saleWorker } from './sale';
import { PORT, startService, tokenFor } from './service';
import type { Sample } from './statistics';

const CLIENTS = 64;
const ROUNDS = 3;
/** The warm-up of each scenario before the first round. */
const WARM_UP_SECONDS = 3;
const STOCK = 1_000_000_000;
const RESULTS = 'bench/RESULTS.md';

const BASELINE_HOT: Products = { first: 100_000_000_000, count: 1 };
const BASELINE_SPREAD: Products = { first: 200_000_000_000, count: 1000 };

/** The service under load, and the products to reserve. */
interface Target {
  databaseUrl: string;
  token: string;
  baseline: Baseline;
  products: Record<'batched' | 'hot' | 'sale' | 'soldOut', string> & Record<'spread' | 'basket', string[]>;
}

void runProgram('The bench failed.', bench);

async function bench(program: Program): Promise<void> {
  const duration = readArguments();
  const target = await prepare(program);
  // As after a minute of service: code compiled, statements planned, connections open.
  const warmUp = await runRound(target, { warmUpSeconds: 0, seconds: WARM_UP_SECONDS }, 0);
  const rounds: Round[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    rounds.push(await runRound(target, duration, round));
  }
  await check(target, [warmUp, ...rounds]);
  const report = reportOf(rounds, { seconds: duration.seconds, clients: CLIENTS, baseline: target.baseline });
  await writeFile(RESULTS, report);
  process.stdout.write(`\n${report}`);
}

function readArguments(): Duration {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '5' } } });
  if (!/^[1-9]\d?$/.test(values.seconds)) {
    throw new Failure('--seconds must be a whole number from 1 to 99');
  }
  return { warmUpSeconds: 1, seconds: Number(values.seconds) };
}

/** A separate PostgreSQL with default durability, the service in its own process, and the products. */
async function prepare(program: Program): Promise<Target> {
  const remove = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });
  const dataDir = await program.keep(mkdtemp(join(tmpdir(), 'holdfast-bench-')), remove);
  const database = await program.keep(startEmbeddedPostgres({ dataDir }), (opened) => opened.stop());
  await migrate(database.url);
  await program.keep(startService(database.url, dataDir), (stop) => stop());
  const token = tokenFor(uuidv7(), 'admin');
  progress('making 2105 products');
  const several = (count: number): Promise<string[]> =>
    makeProducts(
      database.url,
      Array.from({ length: count }, () => randomUUID()),
    );
  await makeProducts(database.url, [...idsOf(BASELINE_HOT), ...idsOf(BASELINE_SPREAD)]);
  const [batched, hot, sale] = await several(3);
  const [soldOut] = await makeProducts(database.url, [randomUUID()], 0);
  const lists = { spread: await several(1000), basket: await several(100) };
  return {
    databaseUrl: database.url,
    token,
    baseline: (await findPgbench(database.url)) ?? nodeBaseline(database.url),
    products: { batched: batched!, hot: hot!, sale: sale!, soldOut: soldOut!, ...lists },
  };
}

/** Inserted directly into the tables, including the ledger, so that reconciliation works at the end. */
async function makeProducts(url: string, ids: string[], stock = STOCK): Promise<string[]> {
  const client = new Client(url);
  await client.connect();
  await client.query(
    `WITH product AS (
       INSERT INTO products (id, sku, name, price, currency)
       SELECT id, 'BENCH-' || id, 'Bench', 19.90, 'EUR' FROM unnest($1::uuid[]) AS id RETURNING id
     ), level AS (
       INSERT INTO stock_levels (product_id, warehouse_id, available, total)
       SELECT product.id, warehouses.id, $2, $2 FROM product, warehouses WHERE code = 'MAIN' RETURNING product_id, warehouse_id
     )
     INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after, reserved_after, actor, request_id)
     SELECT gen_random_uuid(), product_id, warehouse_id, 'initial', $2, 0, $2, 0, 'system:bench', gen_random_uuid() FROM level`,
    [ids, stock],
  );
  await client.query('VACUUM ANALYZE');
  await client.end();
  return ids;
}

async function runRound(target: Target, duration: Duration, round: number): Promise<Round> {
  const { databaseUrl, token, baseline, products } = target;
  const line = (product_id: string): object => ({ product_id, quantity: 1 });
  const requests = (bodies: object[]): Buffer[] =>
    bodies.map((body) => requestOf('POST', '/api/reservations', token, body));
  const baskets = Array.from({ length: 1000 }, () => ({ items: threeOf(products.basket).map(line) }));
  const http =
    (bodies: object[], clients = CLIENTS) =>
    () =>
      overHttp(sending(requests(bodies)), clients, duration);
  const byHand =
    (which: Products, clients = CLIENTS) =>
    () =>
      baseline.measure(which, { clients, ...duration });
  const runs: Record<Scenario, () => Promise<Sample>> = {
    'baseline, one product': byHand(BASELINE_HOT),
    'HTTP, one product': http([line(products.hot)]),
    'baseline, 1000 products': byHand(BASELINE_SPREAD),
    'HTTP, 1000 products': http(products.spread.map(line)),
    'HTTP, baskets of 3 out of 100': http(baskets),
    'HTTP, refusals of a sold-out product': http([line(products.soldOut)]),
    'HTTP, whole sales of one product': () =>
      overHttp((connection) => saleWorker(connection, token, products.sale), CLIENTS, duration),
    'baseline, one connection': byHand(BASELINE_HOT, 1),
    'HTTP, one connection': http([line(products.hot)], 1),
    'SQL, one product, 64 a transaction': () => measureBatched(databaseUrl, products.batched, duration),
  };
  const samples: Partial<Round> = {};
  for (const scenario of SCENARIOS) {
    samples[scenario] = await runs[scenario]();
    const which = round === 0 ? 'warming up' : `round ${round} of ${ROUNDS}`;
    progress(`${which}: ${scenario}: ${samples[scenario].rate.toFixed(0)} a second`);
  }
  return samples as Round;
}

/** Sends these requests one after the other, over all connections in turn. */
function sending(requests: Buffer[]): (connection: Connection) => Worker {
  let turn = 0;
  return (connection) => () => connection.send(requests[turn++ % requests.length]!);
}

async function overHttp(
  workerOf: (connection: Connection) => Worker,
  clients: number,
  duration: Duration,
): Promise<Sample> {
  const connections = await Promise.all(Array.from({ length: clients }, () => Connection.open(PORT)));
  const sample = await measure(connections.map(workerOf), duration);
  connections.forEach((connection) => connection.close());
  return sample;
}

function threeOf(ids: string[]): string[] {
  const chosen = new Set<string>();
  while (chosen.size < 3) {
    chosen.add(ids[Math.floor(Math.random() * ids.length)]!);
  }
  return [...chosen];
}

/** @throws Failure unless every answer was expected, all answered reservations exist, and stock and ledger agree */
async function check({ databaseUrl, token, products }: Target, rounds: readonly Round[]): Promise<void> {
  for (const round of rounds) {
    for (const scenario of SCENARIOS) {
      const expected = expectedOf(scenario);
      const others = [...round[scenario].outcomes.keys()].filter((outcome) => !expected.includes(outcome));
      if (others.length > 0) {
        throw new Failure(`${scenario}: expected only ${expected.join(' and ')}, but there was ${others.join(', ')}`);
      }
    }
  }
  const pieces: Partial<Record<Scenario, number>> = {
    ...{ 'HTTP, one product': 1, 'HTTP, one connection': 1, 'HTTP, 1000 products': 1 },
    'HTTP, baskets of 3 out of 100': 3,
  };
  const answered = rounds
    .flatMap((round) => SCENARIOS.map((name) => (pieces[name] ?? 0) * (round[name].outcomes.get('201') ?? 0)))
    .reduce((sum, count) => sum + count);
  const reserved = await reservedOf(databaseUrl, [products.hot, ...products.spread, ...products.basket]);
  const { ok } = await read<{ ok: boolean }>('/api/admin/reconciliation', token);
  if (answered !== reserved || !ok) {
    throw new Failure(
      `${answered} pieces were answered, ${reserved} are reserved; reconciliation is ${ok ? '' : 'not '}ok`,
    );
  }
  progress(`${answered} pieces were answered over HTTP, and as many are reserved; reconciliation is ok`);
}

function expectedOf(scenario: Scenario): string[] {
  if (!scenario.startsWith('HTTP')) {
    return ['committed'];
  }
  const successes = scenario.includes('whole sales') ? ['201', '200'] : ['201'];
  return scenario.includes('sold-out') ? ['409'] : successes;
}

async function reservedOf(url: string, productIds: string[]): Promise<number> {
  const client = new Client(url);
  await client.connect();
  const { rows } = await client.query<{ reserved: number }>(
    'SELECT sum(reserved)::int AS reserved FROM stock_levels WHERE product_id = ANY($1)',
    [productIds],
  );
  await client.end();
  return rows[0]!.reserved;
}

async function read<T>(path: string, token: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${PORT}${path}`, { headers: { Authorization: `Bearer ${token}` } });
  return ((await response.json()) as { data: T }).data;
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}
