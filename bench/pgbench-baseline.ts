import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Failure } from '../src/program';
import { type Baseline, ID_PREFIX, MAIN, type Products } from './baseline';
import type { Duration } from './load';
import { type Sample, sampleOf } from './statistics';

const run = promisify(execFile);

/** pgbench also counts the time for connecting, though it sends nothing before the last client is connected. */
const CONNECT_SECONDS = 2;

const PRODUCT = `('${ID_PREFIX}' || :product::text)::uuid`;
const USER = `('${ID_PREFIX}' || :user::text)::uuid`;
const LEVEL = `product_id = ${PRODUCT} AND warehouse_id = '${MAIN}'`;

/**
 * The same statements as the Node baseline. Each client starts some products after the previous one, and takes them in
 * turn.
 */
const SCRIPT = `
\\set product :first + (:client_id * 16 + :turn) % :count
\\set turn :turn + 1
\\set user 900000000000 + :client_id
BEGIN;
SELECT available, reserved FROM stock_levels WHERE ${LEVEL} FOR UPDATE \\gset
UPDATE stock_levels SET available = :available - 1, reserved = :reserved + 1 WHERE ${LEVEL};
INSERT INTO reservations (id, user_id, status, expires_at, total_amount, currency)
  VALUES (uuidv7(), ${USER}, 'active', clock_timestamp() + interval '600 seconds', 19.90, 'EUR')
  RETURNING id AS reservation \\gset
INSERT INTO reservation_items (reservation_id, user_id, product_id, warehouse_id, quantity, unit_price)
  VALUES (:reservation, ${USER}, ${PRODUCT}, '${MAIN}', 1, 19.90);
INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta, available_after,
    reserved_after, reservation_id, actor, request_id)
  VALUES (uuidv7(), ${PRODUCT}, '${MAIN}', 'reserve', -1, 1, :available - 1, :reserved + 1, :reservation,
    'user:' || ${USER}, uuidv7());
INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id)
  VALUES (uuidv7(), 'user:' || ${USER}, 'reservation.created', 'reservation', :reservation,
    jsonb_build_object('product_id', ${PRODUCT}, 'quantity', 1), uuidv7());
COMMIT;
`;

/** pgbench with prepared statements, if it is installed. */
export async function findPgbench(url: string): Promise<Baseline | undefined> {
  // On Debian the command may only say which package is missing.
  const found = await run('pgbench', ['--version']).catch(() => undefined);
  const version = found && /\d[\d.]*/.exec(found.stdout)![0];
  return version === undefined
    ? undefined
    : { name: `pgbench ${version}, \`-M prepared\``, isPgbench: true, measure: (...load) => measure(url, ...load) };
}

async function measure(
  url: string,
  { first, count }: Products,
  { clients, warmUpSeconds, seconds }: Duration & { clients: number },
): Promise<Sample> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-pgbench-'));
  try {
    const script = join(folder, 'script.sql');
    await writeFile(script, SCRIPT);
    const time = CONNECT_SECONDS + warmUpSeconds + seconds;
    const threads = Math.min(clients, availableParallelism());
    const load = `-M prepared -c ${clients} -j ${threads} -T ${time} -D first=${first} -D count=${count} -D turn=0`;
    const files = ['-f', script, '-l', `--log-prefix=${join(folder, 'log')}`];
    await run('pgbench', ['-n', ...load.split(' '), ...files, url]);
    return await readLog(folder, warmUpSeconds, seconds);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A line for each transaction: client, number, microseconds, script, and when it ended in seconds and microseconds. */
async function readLog(folder: string, warmUpSeconds: number, seconds: number): Promise<Sample> {
  const files = (await readdir(folder)).filter((name) => name.startsWith('log'));
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')));
  const transactions = texts
    .flatMap((text) => text.split('\n').filter((line) => line !== ''))
    .map((line) => {
      const [, , micros, , second, micro] = line.split(' ').map(Number);
      return { ms: micros! / 1000, startedAt: second! * 1000 + (micro! - micros!) / 1000 };
    });
  const starts = transactions.map(({ startedAt }) => startedAt).sort((left, right) => left - right);
  const from = starts[0]! + warmUpSeconds * 1000;
  const until = Math.min(from + seconds * 1000, starts.at(-1)!);
  const counted = transactions.filter(({ startedAt }) => startedAt >= from && startedAt < until);
  if (counted.length === 0) {
    throw new Failure(`pgbench needed more than ${CONNECT_SECONDS} s to connect, and had no time left`);
  }
  const outcomes = new Map([['committed', transactions.length]]);
  return sampleOf(
    counted.map(({ ms }) => ms),
    outcomes,
    (until - from) / 1000,
  );
}
