import type { EntityManager } from 'typeorm';

/** A SELECT as `query()` takes it. */
export interface Select {
  readonly sql: string;
  readonly values: unknown[];
}

/**
 * How many rows the planner expects of a statement. It knows only statistics and reads no rows, so it takes a millisecond
 * however many there are, and may be wrong by any factor where columns hang together.
 * @see https://www.postgresql.org/docs/current/row-estimation-examples.html
 */
export async function estimateRows(manager: EntityManager, { sql, values }: Select): Promise<number> {
  const [row] = await manager.query<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }[]>(
    `EXPLAIN (FORMAT JSON) ${sql}`,
    values,
  );
  return row!['QUERY PLAN'][0].Plan['Plan Rows'];
}
