import { escapeLiteral } from 'pg';
import type { EntityManager } from 'typeorm';
import type { Sql } from 'sql-template-tag';

interface Node {
  'Node Type': string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  Plans?: Node[];
}

/** What a statement did to these tables: which of them it read from end to end, and how many of their rows it saw. */
export interface Work {
  readonly endToEnd: string[];
  readonly rows: number;
}

type Statement = Pick<Sql, 'text' | 'values'>;
type Explained = [{ 'QUERY PLAN': [{ Plan: Node }] }];

/** Carries a statement out and reads its plan; of ways that it has, those that were taken. */
export async function workOf(
  manager: EntityManager,
  { text, values }: Statement,
  tables: readonly string[],
): Promise<Work> {
  return workIn(await manager.query<Explained>(`EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${text}`, values), tables);
}

/** The same with the plan that a prepared statement has: made without knowing the values. */
export function preparedWorkOf(
  manager: EntityManager,
  { text, values }: Statement,
  tables: readonly string[],
): Promise<Work> {
  return manager.transaction(async (tx) => {
    await tx.query('SET LOCAL plan_cache_mode = force_generic_plan');
    await tx.query(`PREPARE page AS ${text}`);
    const explained = await tx.query<Explained>(
      `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE page (${values.map(literal).join(', ')})`,
    );
    await tx.query('DEALLOCATE page');
    return workIn(explained, tables);
  });
}

function literal(value: unknown): string {
  return escapeLiteral(
    Array.isArray(value) ? `{${value.join(',')}}` : value instanceof Date ? value.toISOString() : String(value),
  );
}

function workIn([explained]: Explained, tables: readonly string[]): Work {
  const scans = nodesOf(explained['QUERY PLAN'][0].Plan).filter(
    (node) => node['Actual Loops'] > 0 && tables.includes(node['Relation Name'] ?? ''),
  );
  return {
    endToEnd: scans.filter((scan) => scan['Node Type'] === 'Seq Scan').map((scan) => scan['Relation Name']!),
    rows: scans.reduce((total, scan) => total + rowsSeen(scan), 0),
  };
}

function nodesOf(node: Node): Node[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

function rowsSeen(scan: Node): number {
  const removed = (scan['Rows Removed by Filter'] ?? 0) + (scan['Rows Removed by Index Recheck'] ?? 0);
  return (scan['Actual Rows'] + removed) * scan['Actual Loops'];
}
