import type { Duration } from './load';
import type { Sample } from './statistics';

/**
 * The baseline for the service: the simplest possible shop. One transaction for each reservation, six statements
 * between BEGIN and COMMIT, on the same tables. No HTTP, no token, no validation: only the work of the database.
 */
export interface Baseline {
  /** Its description in the report. */
  readonly name: string;
  /** Whether it is the well-known pgbench. */
  readonly isPgbench: boolean;
  /** Each client, on its own connection, reserves one piece at a time, of all products in turn. */
  measure(products: Products, load: Duration & { clients: number }): Promise<Sample>;
}

/** Products by number; a number has exactly twelve digits. */
export interface Products {
  readonly first: number;
  readonly count: number;
}

export const MAIN = '00000000-0000-7000-8000-000000000001';
/** Followed by a product's number it is the product's id: pgbench scripts know only numbers. */
export const ID_PREFIX = '00000000-0000-4000-8000-';

export function idsOf({ first, count }: Products): string[] {
  return Array.from({ length: count }, (_, index) => `${ID_PREFIX}${first + index}`);
}
