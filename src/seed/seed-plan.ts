import { createHash } from 'node:crypto';

export const DAY_MS = 86_400_000;

/** The arguments of a seed. Equal arguments give equal orders. */
export interface SeedRequest {
  readonly orders: number;
  readonly products: number;
  readonly months: number;
  /** About how many orders are written in one transaction. */
  readonly batch: number;
  readonly rngSeed: number;
  /** Midnight UTC, `2026-11-20`: the history ends before it. */
  readonly end: string;
}

/** The orders of some whole days. Orders are numbered from 1. */
export interface Batch {
  readonly first: number;
  readonly last: number;
  readonly startMs: number;
}

export interface SeedPlan extends SeedRequest {
  /** The seed of all hashes, a bigint in PostgreSQL. */
  readonly key: string;
  /** Distinguishes this seed from others in the same database, in skus and email addresses. */
  readonly tag: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly days: number;
  readonly batches: readonly Batch[];
}

/** Every day has the same number of orders, give or take one. */
export function planOf(request: SeedRequest): SeedPlan {
  const { orders, products, months, batch, rngSeed, end } = request;
  const digest = createHash('sha256').update([rngSeed, orders, products, months, batch, end].join('/')).digest();
  const endMs = Date.parse(`${end}T00:00:00Z`);
  const startMs = new Date(endMs).setUTCMonth(new Date(endMs).getUTCMonth() - months);
  const days = (endMs - startMs) / DAY_MS;
  return {
    ...request,
    key: digest.readBigInt64BE().toString(),
    tag: digest.toString('hex', 8, 11),
    startMs,
    endMs,
    days,
    batches: batchesOf(request, startMs, days),
  };
}

/** All stock movements of an order fall on one day, so each batch follows the previous one in the ledger. */
function batchesOf({ orders, batch }: SeedRequest, startMs: number, days: number): Batch[] {
  const length = Math.ceil((batch * days) / orders);
  const ordersBefore = (day: number): number => Math.floor((orders * Math.min(day, days)) / days);
  return Array.from({ length: Math.ceil(days / length) }, (_, index) => ({
    first: ordersBefore(index * length) + 1,
    last: ordersBefore((index + 1) * length),
    startMs: startMs + index * length * DAY_MS,
  }));
}
