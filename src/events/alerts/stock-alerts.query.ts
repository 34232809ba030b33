import type { EntityManager } from 'typeorm';
import { OVERDUE } from '../../inventory/products/products.query';
import { prepared } from '../../platform/database/prepared';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import type { EventRange } from '../feed/feed.query';
import { rowsOfTick } from '../feed/tick.query';
import type { StockSeen, StockState } from './stock-state';

/** From each event only the ids of its products: reading all events would cost the service much more than this. */
const TOUCHED = `
  SELECT DISTINCT product_id AS id
  FROM event_ticks AS tick CROSS JOIN LATERAL (${rowsOfTick('tick')}) AS row CROSS JOIN LATERAL (
    SELECT row.object_id WHERE row.object_type IN ('product', 'stock')
    UNION ALL
    SELECT (item ->> 'product_id')::uuid FROM jsonb_array_elements(row.new_value -> 'items') AS item
    WHERE row.action = 'reservation.created'
    UNION ALL
    SELECT product.id::uuid FROM jsonb_array_elements_text(row.new_value -> 'product_ids') AS product (id)
    WHERE row.object_type IN ('reservation', 'order')
  ) AS touched (product_id)
  WHERE (tick.era, tick.id) > ($1, $2) AND (tick.era, tick.id) <= ($3, $4) AND row.action = ANY ($5)`;

/** The products of the events of these types. */
export async function findTouchedProducts(
  manager: EntityManager,
  { after, to }: Pick<EventRange, 'after' | 'to'>,
  types: readonly string[],
): Promise<string[]> {
  const values = [after.era, after.tick, to.era, to.id, types];
  const rows = await manager.query<{ id: string }[]>(prepared(TOUCHED), values);
  return rows.map(({ id }) => id);
}

/** A product's stock at one moment, and what was told of it last. */
export interface WatchedStock extends StockSeen {
  readonly productId: string;
  readonly isActive: boolean;
  readonly state: StockState;
}

/** As the list of products sums it up: over all warehouses, and with what overdue holds still have. */
const WATCHED = `
  WITH overdue AS MATERIALIZED (${OVERDUE})
  SELECT product.id AS "productId", product.is_active AS "isActive", product.low_stock_threshold AS threshold, coalesce(alert.state, 'ok') AS state,
    (SELECT coalesce(sum(available), 0) FROM stock_levels WHERE product_id = product.id)::float8
      + (SELECT coalesce(sum(quantity), 0) FROM overdue WHERE product_id = product.id)::float8 AS available
  FROM products AS product LEFT JOIN product_alerts AS alert ON alert.product_id = product.id
  WHERE product.id = ANY($1)`;

/** The stock of these products, all of one moment. */
export function findWatchedStock(manager: EntityManager, productIds: readonly string[]): Promise<WatchedStock[]> {
  return manager.query<WatchedStock[]>(WATCHED, [productIds]);
}

const WRITE = `
  INSERT INTO product_alerts (product_id, state) SELECT * FROM unnest($1::uuid[], $2::text[])
  ON CONFLICT (product_id) DO UPDATE SET state = excluded.state`;

/** Queues the states in which products are from now on. */
export function writeStates(unit: UnitOfWork, states: readonly Pick<WatchedStock, 'productId' | 'state'>[]): void {
  const [enough, others] = [states.filter(({ state }) => state === 'ok'), states.filter(({ state }) => state !== 'ok')];
  if (enough.length > 0) {
    unit.execute('DELETE FROM product_alerts WHERE product_id = ANY($1)', [enough.map(({ productId }) => productId)]);
  }
  if (others.length > 0) {
    unit.execute(WRITE, [others.map(({ productId }) => productId), others.map(({ state }) => state)]);
  }
}
