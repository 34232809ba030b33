import sql, { type Sql } from 'sql-template-tag';
import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import type { Position } from '../../platform/http/cursor';
import { StockMovement } from './stock.entity';

/** At most `count` movements of a product after a position, newest first: in the order of the primary key. */
export function movementsQuery(
  manager: EntityManager,
  productId: string,
  count: number,
  after: Position | undefined,
): SelectQueryBuilder<StockMovement> {
  const query = manager
    .createQueryBuilder(StockMovement, 'movement')
    .where('movement.productId = :productId', { productId })
    .orderBy('movement.createdAt', 'DESC')
    .addOrderBy('movement.id', 'DESC');
  if (after) {
    query.andWhere('(movement.createdAt, movement.id) < (:value, :id)', after);
  }
  return query.limit(count);
}

/** All movements of a product, unsorted, for an estimate. */
export function selectMovements(productId: string): Sql {
  return sql`SELECT FROM stock_movements WHERE product_id = ${productId}`;
}
