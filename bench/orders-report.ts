import { commit, machine } from './report';
import { median } from './statistics';

/** Milliseconds. */
export interface Timed {
  p50: number;
  p95: number;
}

/** What was measured at one size. */
export interface At {
  orders: number;
  live: Timed;
  lists: { query: string; time: Timed }[];
  statements: number;
  far: { page: number; ratio: number };
  pagesPerSecond: number;
}

const SLOWEST = 12;

/** The measurements as a page of Markdown, with machine and commit. */
export function ordersReportOf(measured: readonly At[]): string {
  const last = measured.at(-1)!;
  const slowest = [...last.lists].sort((left, right) => right.time.p50 - left.time.p50).slice(0, SLOWEST);
  return `# Lists of orders

\`npm run bench:orders\`: ${last.lists.length} combinations of status, dates, totals and sort, the first page of each, over
HTTP on one connection; a ratio is to \`/health/live\` in the same run. ${machine()}, commit ${commit()}.

| orders | ${measured.map(({ orders }) => orders.toLocaleString('en')).join(' | ')} | target |
| --- | ${measured.map(() => '---').join(' | ')} | --- |
${rows(measured)}

The slowest at ${last.orders.toLocaleString('en')}:

| query | p50 ms | p95 ms | ratio |
| --- | --- | --- | --- |
${slowest.map(({ query, time }) => `| \`${query}\` | ${time.p50.toFixed(1)} | ${time.p95.toFixed(1)} | ${(time.p50 / last.live.p50).toFixed(1)} |`).join('\n')}
`;
}

function rows(measured: readonly At[]): string {
  const line = (name: string, of: (at: At) => string, target = ''): string =>
    `| ${name} | ${measured.map(of).join(' | ')} | ${target} |`;
  const ratios = ({ lists, live }: At): number[] => lists.map(({ time }) => time.p50 / live.p50);
  const share = (at: At, below: number): string => {
    const all = ratios(at);
    return `${((all.filter((ratio) => ratio < below).length / all.length) * 100).toFixed(0)} %`;
  };
  const middle = (at: At): number => median(at.lists.map(({ time }) => time.p50));
  return [
    line('`/health/live`, p50 ms', ({ live }) => live.p50.toFixed(2)),
    line('median of all combinations, p50 ms', (at) => middle(at).toFixed(2)),
    line('against the smallest size', (at) => (middle(at) / middle(measured[0]!)).toFixed(2), '≤ 1.3'),
    line('combinations below 4 ×', (at) => share(at, 4), '≥ 50 %'),
    line('combinations below 10 ×', (at) => share(at, 10), '≥ 95 %'),
    line('the worst', (at) => `${Math.max(...ratios(at)).toFixed(1)} ×`, '< 40 ×'),
    line('a far page against the first', ({ far }) => `${far.ratio.toFixed(2)} (page ${far.page})`, '≤ 1.3'),
    line('pages a second, 32 connections', ({ pagesPerSecond }) => pagesPerSecond.toFixed(0)),
    line('statements a page', ({ statements }) => statements.toFixed(2), '≤ 2'),
  ].join('\n');
}
