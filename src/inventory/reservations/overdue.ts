import type { EntityManager } from 'typeorm';
import type { Tx } from '../../platform/database/tx';
import { InsufficientStock, type Shortage } from '../../platform/errors/domain-errors';
import type { Supply } from './allocation';

/** Short, but overdue holds may have some of what is missing: once they are expired, another try may succeed. */
export class ShortByOverdue extends InsufficientStock {
  constructor(
    shortages: Shortage[],
    /** The request that falls short, if that is not the context's. */
    readonly requestId?: string,
  ) {
    super(shortages);
  }
}

/** What one warehouse has of one product, seen together with the holds on it. */
export interface SeenLevel extends Supply {
  /** Whether holds that are over may still have some of the product. If false, they have none. */
  readonly mayBeOverdue: boolean;
}

/** If so many holds are overdue, those of any product may be among them: it is not worth looking at every one. */
const MANY = 100;

/**
 * One statement, so that levels and holds are those of one moment. The holds are found first, by their own index and up
 * to a limit: the planner, who cannot know how few they are, might read all the items of a product that sells well.
 */
const LEVELS = `
  WITH overdue AS MATERIALIZED (
    SELECT id FROM reservations WHERE status = 'active' AND expires_at <= statement_timestamp()
    ORDER BY expires_at LIMIT ${MANY}
  )
  SELECT product_id AS "productId", warehouse_id AS "warehouseId", available,
    (SELECT count(*) FROM overdue) = ${MANY} OR product_id IN (
      SELECT item.product_id FROM overdue JOIN reservation_items AS item ON item.reservation_id = overdue.id
    ) AS "mayBeOverdue"
  FROM stock_levels WHERE product_id = ANY($1)`;

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
  return levels.some(({ mayBeOverdue }) => mayBeOverdue)
    ? new ShortByOverdue(shortages)
    : new InsufficientStock(shortages);
}
