import type { EntityManager } from 'typeorm';
import type { Tx } from '../../platform/database/tx';
import { InsufficientStock, type Shortage } from '../../platform/errors/domain-errors';
import type { Supply } from './allocation';

/** Short, but overdue holds may have some of what is missing: once they are expired, another try may succeed. */
export class ShortByOverdue extends InsufficientStock {
  readonly kind = 'short';

  constructor(
    shortages: Shortage[],
    /** The request that falls short, if that is not the context's. */
    readonly requestId?: string,
  ) {
    super(shortages);
  }

  get productIds(): string[] {
    return this.members.shortages.map((shortage) => shortage.product_id);
  }
}

/** A request would be served from other warehouses if the overdue holds on these products were expired. */
export class DisplacedByOverdue extends Error {
  readonly kind = 'displaced';

  constructor(
    readonly productIds: readonly string[],
    readonly requestId: string,
  ) {
    super(`Overdue holds on ${productIds.join(', ')} are to be expired first`);
  }
}

export type ByOverdue = ShortByOverdue | DisplacedByOverdue;

export function isByOverdue(error: unknown): error is ByOverdue {
  return error instanceof ShortByOverdue || error instanceof DisplacedByOverdue;
}

/** For which requests an attempt to take stock ends, so that overdue holds on a product are expired before the next. */
export interface Reclaims {
  /** For one that falls short of the product. */
  readonly short: (productId: string) => boolean;
  /** For one that would be served with it from other warehouses. */
  readonly displaced: (productId: string) => boolean;
}

export const NO_RECLAIMS: Reclaims = { short: () => false, displaced: () => false };

/** What one warehouse has of one product, seen together with the holds on it. */
export interface SeenLevel extends Supply {
  /** So many pieces more, at the most, are available once overdue holds are expired. */
  readonly overdueAtMost: number;
}

/** If so many holds are overdue, those of any level may be among them: it is not worth looking at every one. */
const MANY = 100;

/**
 * One statement, so that levels and holds are those of one moment. The holds are found first, by their own index and up
 * to a limit: the planner, who cannot know how few they are, might read all the items of a product that sells well.
 */
const LEVELS = `
  WITH overdue AS MATERIALIZED (
    SELECT id FROM reservations WHERE status = 'active' AND expires_at <= statement_timestamp()
    ORDER BY expires_at LIMIT ${MANY}
  ), held AS MATERIALIZED (
    SELECT item.product_id, item.warehouse_id, sum(item.quantity)::int AS quantity
    FROM overdue JOIN reservation_items AS item ON item.reservation_id = overdue.id
    GROUP BY item.product_id, item.warehouse_id
  )
  SELECT product_id AS "productId", warehouse_id AS "warehouseId", available,
    CASE WHEN (SELECT count(*) FROM overdue) = ${MANY} THEN reserved ELSE coalesce(held.quantity, 0) END AS "overdueAtMost"
  FROM stock_levels LEFT JOIN held USING (product_id, warehouse_id) WHERE product_id = ANY($1)`;

/** The levels of these products. The statement is sent before this returns. */
export function findLevels(manager: EntityManager, productIds: readonly string[]): Promise<SeenLevel[]> {
  return manager.query<SeenLevel[]>(LEVELS, [productIds]);
}

/** Asked while the levels are locked, without which no hold ends: so what ended before is in the levels already. */
export async function shortfallTx(tx: Tx, shortages: Shortage[]): Promise<InsufficientStock> {
  const levels = await findLevels(
    tx,
    shortages.map((shortage) => shortage.product_id),
  );
  return levels.some(({ overdueAtMost }) => overdueAtMost > 0)
    ? new ShortByOverdue(shortages)
    : new InsufficientStock(shortages);
}
