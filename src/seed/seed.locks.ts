import type { BulkSession } from '../platform/database/bulk-session';

/** Locks all levels of the seeded products, in the order of everybody else: two seeds of the same past take turns. */
export async function lockSeededLevels(session: BulkSession): Promise<void> {
  await session.query(`
    SELECT FROM stock_levels WHERE product_id IN (SELECT id FROM seed_products)
    ORDER BY product_id, warehouse_id FOR UPDATE`);
}
