import { lockRows } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';
import { Product } from './product.entity';

/** Locks a product against concurrent changes. Reservations only read products and do not wait for this lock. */
export async function lockProduct(tx: Tx, id: string): Promise<Product | undefined> {
  const [product] = await lockRows(tx, Product, [id]);
  return product;
}
