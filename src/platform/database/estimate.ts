import sql, { type Sql } from 'sql-template-tag';
import type { EntityManager } from 'typeorm';
import { queryRows } from './fragments';

/**
 * How many rows the planner expects of a statement. It knows only statistics and reads no rows, so it takes a millisecond
 * however many there are, and may be wrong by any factor where columns hang together.
 * @see https://www.postgresql.org/docs/current/row-estimation-examples.html
 */
export async function estimateRows(manager: EntityManager, statement: Sql): Promise<number> {
  const [row] = await queryRows<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    manager,
    sql`EXPLAIN (FORMAT JSON) ${statement}`,
  );
  return row!['QUERY PLAN'][0].Plan['Plan Rows'];
}
