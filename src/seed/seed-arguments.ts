import { parseArgs } from 'node:util';
import { ConfigurationError } from '../platform/config/app-config';
import type { SeedRequest } from './seed-plan';

export const USAGE = `npm run seed -- --orders 1000000 [--products N] [--months 24] [--batch 20000] [--rng-seed 1]
                [--end 2026-11-20] [--force]

Fills the database with the past of a shop: so many orders, with everything that belongs to them, over so many months up
to the day before --end (left out: today, UTC). The same arguments give the same orders; those that are there already are
not made again, so the same command goes on after an interruption, and other arguments add another past. Each transaction
writes the orders of whole days, about --batch of them. In production it needs --force.
`;

const TEXT = { type: 'string' } as const;
const FLAG = { type: 'boolean' } as const;
const OPTIONS = {
  orders: TEXT,
  products: TEXT,
  months: TEXT,
  batch: TEXT,
  'rng-seed': TEXT,
  end: TEXT,
  force: FLAG,
  help: FLAG,
} as const;

export interface SeedArguments extends Omit<SeedRequest, 'end'> {
  readonly end: string | undefined;
  readonly isForced: boolean;
  readonly wantsHelp: boolean;
}

/** @throws ConfigurationError with one line that names the missing or wrong argument and the rule it breaks */
export function readArguments(args: string[]): SeedArguments {
  const { end, force = false, help = false, ...values } = parse(args);
  // `--help` works without the number of orders.
  const orders = wholeNumber('--orders', values.orders ?? (help ? '1' : ''), 10_000_000);
  const products = Math.min(2000, Math.max(20, Math.round(orders / 100)));
  return {
    orders,
    products: wholeNumber('--products', values.products ?? String(products), 100_000),
    months: wholeNumber('--months', values.months ?? '24', 120),
    batch: wholeNumber('--batch', values.batch ?? '20000', 100_000),
    rngSeed: wholeNumber('--rng-seed', values['rng-seed'] ?? '1', 1_000_000_000),
    end: end === undefined ? undefined : date('--end', end),
    isForced: force,
    wantsHelp: help,
  };
}

function parse(args: string[]): ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'] {
  try {
    return parseArgs({ args, options: OPTIONS }).values;
  } catch (error) {
    // The first sentence names the argument; the rest is about arguments that begin with a dash.
    throw new ConfigurationError((error as Error).message.split(/[.\n]/, 1)[0]);
  }
}

function wholeNumber(name: string, value: string, max: number): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < 1 || number > max) {
    throw new ConfigurationError(`${name} must be a whole number from 1 to ${max}`);
  }
  return number;
}

function date(name: string, value: string): string {
  const ms = Date.parse(`${value}T00:00:00Z`);
  if (!/^20\d\d-\d\d-\d\d$/.test(value) || Number.isNaN(ms) || !new Date(ms).toISOString().startsWith(value)) {
    throw new ConfigurationError(`${name} must be a date from 2000-01-01 to 2099-12-31, as 2026-11-20`);
  }
  return value;
}
