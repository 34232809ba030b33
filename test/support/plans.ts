import type { EntityManager } from 'typeorm';

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

/** Carries a statement out and reads its plan; of ways that it has, those that were taken. */
export async function workOf(
  manager: EntityManager,
  { sql, values }: { sql: string; values: unknown[] },
  tables: readonly string[],
): Promise<Work> {
  const [explained] = await manager.query<{ 'QUERY PLAN': [{ Plan: Node }] }[]>(
    `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${sql}`,
    values,
  );
  const scans = nodesOf(explained!['QUERY PLAN'][0].Plan).filter(
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
