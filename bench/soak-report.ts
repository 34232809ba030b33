import { commit, machine } from './report';
import { median } from './statistics';

/** The figures of ten seconds of the soak. */
export interface Reading {
  minute: number;
  perSecond: number;
  p99: number;
  residentMb: number;
  heapMb: number;
  lagMs: number;
  connections: number;
  levelsKb: number;
  /** The largest share of dead rows among the large tables. */
  deadShare: number | null;
  reservations: number;
}

type Figure = Exclude<keyof Reading, 'minute'>;

const FIGURES: Record<Figure, string> = {
  perSecond: 'requests a second',
  p99: 'p99, ms',
  residentMb: 'resident memory, MiB',
  heapMb: 'heap in use, MiB',
  lagMs: 'event loop lag p99, ms',
  connections: 'connections to the database',
  levelsKb: 'stock_levels with its index, KiB',
  deadShare: 'dead rows, largest share of a table',
  reservations: 'reservations',
};
const MOST_LINES = 20;

/** The readings as a page of Markdown, with machine and commit: the first third compared with the last, and samples. */
export function soakReportOf(
  readings: readonly Reading[],
  { minutes, clients, isRight }: { minutes: number; clients: number; isRight: boolean },
): string {
  const third = Math.ceil(readings.length / 3);
  const figures = Object.keys(FIGURES) as Figure[];
  const of = (part: readonly Reading[], figure: Figure): number => median(part.map((reading) => reading[figure] ?? 0));
  const thirds = figures.map((figure) => {
    const [first, last] = [of(readings.slice(0, third), figure), of(readings.slice(-third), figure)];
    return `| ${FIGURES[figure]} | ${show(first)} | ${show(last)} | ${(last / first).toFixed(2)} |`;
  });
  const step = Math.ceil(readings.length / MOST_LINES);
  const lines = readings
    .filter((_, index) => index % step === 0)
    .map(
      (reading) => `| ${[reading.minute, ...figures.map((figure) => reading[figure] ?? 0)].map(show).join(' | ')} |`,
    );
  return `# Soak

\`npm run soak -- --minutes ${minutes} --clients ${clients}\`: ${clients} customers who reserve baskets, commit, cancel, let holds expire and
order, with a key for every POST, and an administrator who ships and restocks; the clients share the machine.
${machine()}, commit ${commit()}. Reconciliation at the end: ${isRight ? 'ok' : 'DIFFERENCES'}.

| median of | the first third | the last third | ratio |
| --- | --- | --- | --- |
${thirds.join('\n')}

| minute | ${figures.map((figure) => FIGURES[figure]).join(' | ')} |
| --- | ${figures.map(() => '---').join(' | ')} |
${lines.join('\n')}
`;
}

function show(value: number): string {
  return value.toFixed(value < 10 ? 2 : 0);
}
