import type { BulkSession } from '../platform/database/bulk-session';

/** Locks all levels of the seeded products, in the usual order. Two runs of the same seed take turns. */
export async function lockSeededLevels(session: BulkSession): Promise<void> {
  await session.query(`
    SELECT FROM stock_levels WHERE product_id IN (SELECT id FROM seed_products)
    ORDER BY product_id, warehouse_id FOR UPDATE`);
}
