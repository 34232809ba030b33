import sql, { type Sql } from 'sql-template-tag';
import type { EntityManager } from 'typeorm';
import { queryRows } from './fragments';

/**
 * How many rows the planner expects from a statement. It uses only statistics and reads no rows, so it takes about a
 * millisecond for any number of rows, and may be wrong by any factor if columns are correlated.
 * @see https://www.postgresql.org/docs/current/row-estimation-examples.html
 */
export async function estimateRows(manager: EntityManager, statement: Sql): Promise<number> {
  const [row] = await queryRows<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    manager,
    sql`EXPLAIN (FORMAT JSON) ${statement}`,
  );
  return row!['QUERY PLAN'][0].Plan['Plan Rows'];
}
