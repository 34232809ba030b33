import type { AdminReads } from './admin-reads';
import { commit, machine } from './report';
import { median } from './statistics';

/** Milliseconds. */
export interface Timed {
  p50: number;
  p95: number;
}

/** The first page of each combination, and the empty answers measured in between. */
export interface Measured {
  live: number;
  lists: { query: string; time: Timed }[];
}

/** The measurements at one number of orders. */
export interface At {
  orders: number;
  customersOrders: number;
  all: Measured;
  own: Measured;
  others: { name: string; time: Timed; live: number }[];
  admin: AdminReads;
  statements: number;
  far: { page: number; ratio: number };
  pagesPerSecond: number;
}

const SLOWEST = 8;

/** The measurements as a page of Markdown, with machine and commit. */
export function ordersReportOf(measured: readonly At[]): string {
  const last = measured.at(-1)!;
  const slowest = [...last.all.lists].sort((left, right) => right.time.p50 - left.time.p50).slice(0, SLOWEST);
  return `# Lists of orders

\`npm run bench:orders\`: ${last.all.lists.length} combinations of status, dates, totals and sort, the first page of each,
over HTTP on one connection; ratios are to \`/health/live\`, measured in between. ${machine()}, commit ${commit()}.

| orders | ${measured.map(({ orders }) => orders.toLocaleString('en')).join(' | ')} | target |
| --- | ${measured.map(() => '---').join(' | ')} | --- |
${rows(measured)}

The slowest at ${last.orders.toLocaleString('en')}:

| query | p50 ms | p95 ms | ratio |
| --- | --- | --- | --- |
${slowest.map(({ query, time }) => `| \`${query}\` | ${time.p50.toFixed(1)} | ${time.p95.toFixed(1)} | ${(time.p50 / last.all.live).toFixed(1)} |`).join('\n')}

# Other lists

The first page of each, with filters that match many rows and filters that match few. Reservations are those of all users,
as an administrator sees them, except "own": those of the customer above. A tenth of the products is vintage and three
tenths are retro, but none of the newest fifth.

| list | ${measured.map(({ orders }) => `at ${orders.toLocaleString('en')} orders, p50 ms`).join(' | ')} | ratio |
| --- | ${measured.map(() => '---').join(' | ')} | --- |
${last.others.map(({ name }, index) => otherRow(name, index, measured)).join('\n')}

# Reads of whole tables

| | ${measured.map(({ orders }) => `at ${orders.toLocaleString('en')} orders, ms`).join(' | ')} |
| --- | ${measured.map(() => '---').join(' | ')} |
| \`/api/admin/metrics\` | ${measured.map(({ admin }) => admin.metricsMs.toFixed(0)).join(' | ')} |
| \`/api/admin/reconciliation\` | ${measured.map(({ admin }) => admin.reconciliationMs.toFixed(0)).join(' | ')} |
`;
}

function otherRow(name: string, index: number, measured: readonly At[]): string {
  const times = measured.map(({ others }) => others[index]!.time.p50.toFixed(2));
  const { time, live } = measured.at(-1)!.others[index]!;
  return `| \`${name}\` | ${times.join(' | ')} | ${(time.p50 / live).toFixed(1)} |`;
}

function rows(measured: readonly At[]): string {
  const line = (name: string, of: (at: At) => string, target = ''): string =>
    `| ${name} | ${measured.map(of).join(' | ')} | ${target} |`;
  return [
    line('`/health/live`, p50 ms', ({ all }) => all.live.toFixed(2)),
    line('median of all combinations, p50 ms', ({ all }) => medianOf(all).toFixed(2)),
    line('median of their p95, ms', ({ all }) => median(all.lists.map(({ time }) => time.p95)).toFixed(2)),
    line('against the smallest size', ({ all }) => (medianOf(all) / medianOf(measured[0]!.all)).toFixed(2), '≤ 1.3'),
    line('combinations below 4 ×', ({ all }) => shareBelow(all, 4), '≥ 50 %'),
    line('combinations below 10 ×', ({ all }) => shareBelow(all, 10), '≥ 95 %'),
    line('the worst', ({ all }) => worstOf(all), '< 40 ×'),
    line('a customer with so many orders', ({ customersOrders }) => customersOrders.toLocaleString('en')),
    line('his median, p50 ms', ({ own }) => medianOf(own).toFixed(2)),
    line('his combinations below 4 ×', ({ own }) => shareBelow(own, 4), '≥ 50 %'),
    line('his combinations below 10 ×', ({ own }) => shareBelow(own, 10), '≥ 95 %'),
    line('his worst', ({ own }) => worstOf(own), '< 40 ×'),
    line('a far page against the first', ({ far }) => `${far.ratio.toFixed(2)} (page ${far.page})`, '≤ 1.3'),
    line('pages a second, 32 connections', ({ pagesPerSecond }) => pagesPerSecond.toFixed(0)),
    line('statements a page', ({ statements }) => statements.toFixed(2), '≤ 2'),
  ].join('\n');
}

function medianOf({ lists }: Measured): number {
  return median(lists.map(({ time }) => time.p50));
}

function ratiosOf({ lists, live }: Measured): number[] {
  return lists.map(({ time }) => time.p50 / live);
}

function shareBelow(measured: Measured, limit: number): string {
  const ratios = ratiosOf(measured);
  return `${((ratios.filter((ratio) => ratio < limit).length / ratios.length) * 100).toFixed(0)} %`;
}

function worstOf(measured: Measured): string {
  return `${Math.max(...ratiosOf(measured)).toFixed(1)} ×`;
}
