import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createApp } from '../src/app.setup';
import { ensureAdmin } from '../src/first-admin';
import { loadConfig } from '../src/platform/config/app-config';
import { migrate } from '../src/platform/database/migrate';
import { startEmbeddedPostgres } from '../src/platform/embedded-postgres/embedded-postgres';
import { log } from '../src/platform/logging/logger';
import { Secrets } from '../src/platform/security/secrets';
import { Failure, type Program, runProgram } from '../src/program';

const USAGE = `npm run chaos -- [--attempts 50] [--stock 5] [--url http://127.0.0.1:3000 --email … --password …]

Makes a product with --stock pieces, lets --attempts buyers reserve one piece each at the same time, and checks that
exactly the stock was sold. Without --url it starts its own server on an embedded PostgreSQL, and stops it at the end.
The administrator's email and password are also read from ADMIN_EMAIL and ADMIN_PASSWORD.
`;

const DEFAULTS = {
  attempts: '50',
  stock: '5',
  url: undefined,
  email: process.env['ADMIN_EMAIL'] ?? 'admin@holdfast.local',
  password: process.env['ADMIN_PASSWORD'] ?? '',
};

interface Target {
  url: string;
  email: string;
  password: string;
}

void runProgram('The chaos could not begin.', chaos);

async function chaos(program: Program): Promise<void> {
  const { attempts, stock, url, ...admin } = readArguments();
  const target = url === undefined ? await startServer(program) : { ...admin, url };
  process.exitCode = (await run(target, attempts, stock)) ? 0 : 1;
}

function readArguments(): { attempts: number; stock: number; url?: string; email: string; password: string } {
  const text = { type: 'string' } as const;
  const options = {
    attempts: text,
    stock: text,
    url: text,
    email: text,
    password: text,
    help: { type: 'boolean' },
  } as const;
  const { values } = parseArgs({ options });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  const { url, email, password, attempts, stock } = { ...DEFAULTS, ...values };
  if (url !== undefined && password === '') {
    throw new Failure('--url needs --password (or ADMIN_PASSWORD) of an administrator');
  }
  return {
    attempts: wholeNumber('--attempts', attempts, 1),
    stock: wholeNumber('--stock', stock, 0),
    url,
    email,
    password,
  };
}

function wholeNumber(name: string, value: string, min: number): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < min || number > 1_000_000) {
    throw new Failure(`${name} must be a whole number from ${min} to 1000000`);
  }
  return number;
}

async function startServer(program: Program): Promise<Target> {
  const dataDir = await program.keep(mkdtemp(join(tmpdir(), 'holdfast-chaos-')), remove);
  const database = await program.keep(startEmbeddedPostgres({ dataDir }), (opened) => opened.stop());
  const admin = { email: 'chaos@holdfast.local', password: randomBytes(15).toString('base64url') };
  const config = loadConfig({
    ADMIN_EMAIL: admin.email,
    ADMIN_PASSWORD: admin.password,
    DATABASE_URL: database.url,
    RATE_LIMIT_PER_MINUTE: '0',
    LOG_LEVEL: 'warn',
  });
  log.level = config.logLevel;
  await migrate(database.url);
  const parts = { config, databaseUrl: database.url, secrets: new Secrets(randomBytes(32).toString('base64url')) };
  const app = await program.keep(createApp(parts, { cronJobs: true }), (opened) => opened.close());
  await ensureAdmin(app, config);
  await app.listen(0, '127.0.0.1');
  return { ...admin, url: await app.getUrl() };
}

function remove(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}

async function run({ url, email, password }: Target, attempts: number, stock: number): Promise<boolean> {
  const { access_token: token } = await call(`${url}/api/auth/login`, { email, password });
  const sku = `CHAOS-${randomBytes(6).toString('hex')}`;
  const product = await call(
    `${url}/api/products`,
    { sku, name: 'The last pieces', price: '1.00', initial_stock: stock },
    token,
  );
  const outcomes = await Promise.all(Array.from({ length: attempts }, () => attempt(url, product.id, token)));
  const final = await call(`${url}/api/products/${product.id}`, undefined, token);
  const succeeded = outcomes.filter((outcome) => outcome === 'reserved').length;
  const unexpected = outcomes.filter((outcome) => outcome !== 'reserved' && outcome !== 'insufficient_stock');
  process.stdout.write(
    `Succeeded: ${succeeded}\nFailed: ${attempts - succeeded}\n` +
      `Final available_stock: ${final.available_stock}\nFinal reserved_stock: ${final.reserved_stock}\n`,
  );
  if (unexpected.length > 0) {
    process.stderr.write(
      `${unexpected.length} attempts failed for another reason: ${[...new Set(unexpected)].join(', ')}\n`,
    );
  }
  const sold = Math.min(stock, attempts);
  return (
    unexpected.length === 0 &&
    succeeded === sold &&
    final.reserved_stock === sold &&
    final.available_stock === stock - sold
  );
}

/** One buyer's outcome: `reserved`, the code of the problem, or the failure of the connection. */
async function attempt(url: string, productId: string, token: string): Promise<string> {
  try {
    const response = await post(`${url}/api/reservations`, { product_id: productId, quantity: 1 }, token);
    const body = (await response.json()) as { code?: string };
    return response.status === 201 ? 'reserved' : (body.code ?? String(response.status));
  } catch (error) {
    return String((error as Error & { cause?: Error }).cause ?? error);
  }
}

// The members read here differ between calls.
async function call(
  url: string,
  body?: object,
  token?: string,
): Promise<
  Record<string, string> & { available_stock: number; reserved_stock: number; id: string; access_token: string }
> {
  const request = body ? post(url, body, token) : fetch(url, { headers: authorization(token) });
  const response = await request.catch(({ cause }: Error) => {
    throw new Failure(`${url} cannot be reached${cause instanceof Error ? `: ${cause.message}` : ''}`);
  });
  const answer = (await response.json()) as { data: never; code?: string; detail?: string };
  if (!response.ok) {
    throw new Failure(`${url} answered ${response.status} ${answer.code}: ${answer.detail}`);
  }
  return answer.data;
}

function post(url: string, body: object, token?: string): Promise<Response> {
  const headers = { 'Content-Type': 'application/json', ...authorization(token) };
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
}

function authorization(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}
