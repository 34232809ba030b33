import type { Index } from './index-sample';
import { commit, machine } from './report';
import { median } from './statistics';

/** The cost of one row. */
export interface Cost {
  readonly walBytes: number;
  readonly microseconds: number;
}

export interface TableCosts {
  readonly table: string;
  /** The costs with all indexes, and with none, for each round. */
  readonly all: readonly Cost[];
  readonly none: readonly Cost[];
  readonly indexes: readonly (Index & { readonly without: readonly Cost[] })[];
}

interface Explained {
  readonly Plan: { readonly 'WAL Bytes': number; readonly 'WAL FPI': number };
  readonly 'Execution Time': number;
}

const PAGE_BYTES = 8192;

/** Without full page images, which are written after a checkpoint: whether one happens is chance. */
export function costOf([{ Plan, 'Execution Time': ms }]: readonly [Explained], rows: number): Cost {
  return {
    walBytes: Math.max(0, Plan['WAL Bytes'] - Plan['WAL FPI'] * PAGE_BYTES) / rows,
    microseconds: (ms * 1000) / rows,
  };
}

/** The measurements as a page of Markdown, with machine and commit. */
export function indexReportOf(
  measured: readonly TableCosts[],
  { orders, rows, rounds }: { orders: number; rows: number; rounds: number },
): string {
  return `# What each index costs

\`npm run bench:indexes\` at ${orders.toLocaleString('en')} orders: ${rows.toLocaleString('en')} rows like the newest ones are inserted in one
statement and rolled back, with all indexes of the table and without each of them; for one row.
WAL is the median of ${rounds} rounds, without full pages; the time is the fastest round's. ${machine()}, commit ${commit()}.

| table, and its indexes | WAL bytes a row | µs a row |
| --- | --- | --- |
${measured.flatMap(rowsOf).join('\n')}
`;
}

function rowsOf({ table, all, none, indexes }: TableCosts): string[] {
  const line = (name: string, walBytes: number, microseconds: number): string =>
    `| ${name} | ${walBytes.toFixed(0)} | ${microseconds.toFixed(1)} |`;
  // Disturbances only add to the time of a round.
  const fastest = (costs: readonly Cost[]): number => Math.min(...costs.map(({ microseconds }) => microseconds));
  const of = (costs: readonly Cost[]): [number, number] => [
    median(costs.map(({ walBytes }) => walBytes)),
    fastest(costs),
  ];
  const saved = (without: readonly Cost[]): [number, number] => [
    median(without.map(({ walBytes }, round) => all[round]!.walBytes - walBytes)),
    fastest(all) - fastest(without),
  ];
  return [
    line(`**${table}**, with all of them`, ...of(all)),
    line('the row alone', ...of(none)),
    ...indexes.map(({ name, definition, without }) => line(`${name} \`${definition}\``, ...saved(without))),
  ];
}
