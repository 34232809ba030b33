import { createHash } from 'node:crypto';

const DAY_MS = 86_400_000;
/** Among the last orders some are still pending. */
const RECENT_SHARE = 0.01;

/** Sunday first. */
const WEEKDAYS = [1.4, 0.95, 0.85, 0.85, 0.9, 1, 1.3];
/** January first. */
const MONTHS = [0.85, 0.85, 0.95, 1, 1, 0.95, 0.9, 0.9, 1, 1.05, 1.45, 1.5];
const GROWTH = 2;
const BUSY_DAYS = 0.03;
const BUSY_FACTOR = 2.5;

/** What the past is made from. The same gives the same orders. */
export interface SeedRequest {
  readonly orders: number;
  readonly products: number;
  readonly users: number;
  readonly months: number;
  /** At least so many orders are written in one transaction. */
  readonly batch: number;
  readonly rngSeed: string;
  /** Midnight UTC, `2026-11-20`: the past ends before it. */
  readonly end: string;
}

/** One day's orders, numbered through in the order of time. */
export interface Day {
  readonly start: number;
  readonly first: number;
  readonly orders: number;
}

export interface Batch {
  readonly days: readonly Day[];
  readonly first: number;
  readonly last: number;
}

export interface SeedPlan extends SeedRequest {
  /** What all hashes begin with, as a bigint in PostgreSQL. */
  readonly key: string;
  /** Tells this past from others in the same database: in skus and email addresses. */
  readonly tag: string;
  readonly startMs: number;
  readonly endMs: number;
  /** From this order on some are pending. They are all in the last batch. */
  readonly recentFrom: number;
  readonly batches: readonly Batch[];
}

/** When the orders are made: more at weekends, before Christmas and on busy days, and three times as many at the end. */
export function planOf(request: SeedRequest): SeedPlan {
  const { orders, products, users, months, batch, rngSeed, end } = request;
  const digest = digestOf([rngSeed, orders, products, users, months, batch, end].join('/'));
  const endMs = Date.parse(`${end}T00:00:00Z`);
  const startMs = monthsBefore(endMs, months);
  const tag = digest.toString('hex', 8, 11);
  const batches = batchesOf(daysOf(startMs, endMs, orders, tag), batch);
  const recentFrom = Math.max(batches.at(-1)!.first, orders - Math.ceil(orders * RECENT_SHARE) + 1);
  return { ...request, key: digest.readBigInt64BE().toString(), tag, startMs, endMs, recentFrom, batches };
}

/** Whole days, because nothing that moves stock lasts longer than its day: so no batch comes between those before it. */
function batchesOf(days: readonly Day[], size: number): Batch[] {
  const batches: Batch[] = [];
  let open: Day[] = [];
  days.forEach((day, index) => {
    open.push(day);
    const last = day.first + day.orders - 1;
    if (last - open[0]!.first + 1 >= size || index === days.length - 1) {
      batches.push({ days: open, first: open[0]!.first, last });
      open = [];
    }
  });
  return batches;
}

function daysOf(startMs: number, endMs: number, orders: number, tag: string): Day[] {
  const starts = Array.from({ length: Math.round((endMs - startMs) / DAY_MS) }, (_, index) => startMs + index * DAY_MS);
  const weights = starts.map((start, index) => weightOf(start, index / starts.length, tag));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let weight = 0;
  let made = 0;
  const days = starts.map((start, index) => {
    weight += weights[index]!;
    const until = index === starts.length - 1 ? orders : Math.round((orders * weight) / total);
    const day = { start, first: made + 1, orders: until - made };
    made = until;
    return day;
  });
  return days.filter((day) => day.orders > 0);
}

function weightOf(start: number, age: number, tag: string): number {
  const date = new Date(start);
  const noise = digestOf(`${tag}/${start}`).readUInt32BE() / 2 ** 32;
  const season = WEEKDAYS[date.getUTCDay()]! * MONTHS[date.getUTCMonth()]!;
  return (1 + GROWTH * age) * season * (noise < BUSY_DAYS ? BUSY_FACTOR : 0.85 + 0.3 * noise);
}

/** The same day of an earlier month, or its last. */
function monthsBefore(endMs: number, months: number): number {
  const end = new Date(endMs);
  const first = Date.UTC(end.getUTCFullYear(), end.getUTCMonth() - months, 1);
  const lastDay = new Date(Date.UTC(end.getUTCFullYear(), end.getUTCMonth() - months + 1, 0)).getUTCDate();
  return first + (Math.min(end.getUTCDate(), lastDay) - 1) * DAY_MS;
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
