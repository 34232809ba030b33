import type { Duration } from './load';
import type { Sample } from './statistics';

/**
 * What the service is held against: a shop at its plainest. One transaction for one reservation, six statements between
 * BEGIN and COMMIT, on the same tables. No HTTP, no token, no validation: only what the database has to do.
 */
export interface Baseline {
  /** What it is, as the report says it. */
  readonly name: string;
  /** Whether it is what people know from elsewhere. */
  readonly isPgbench: boolean;
  /** So many clients, each with a connection of its own, reserve one piece of a product each time, of all in turn. */
  measure(products: Products, load: Duration & { clients: number }): Promise<Sample>;
}

/** The products with these numbers, which have twelve digits. */
export interface Products {
  readonly first: number;
  readonly count: number;
}

export const MAIN = '00000000-0000-7000-8000-000000000001';
/** With the number of a product behind it, its id: in a script of pgbench there are numbers only. */
export const ID_PREFIX = '00000000-0000-4000-8000-';

export function idsOf({ first, count }: Products): string[] {
  return Array.from({ length: count }, (_, index) => `${ID_PREFIX}${first + index}`);
}
