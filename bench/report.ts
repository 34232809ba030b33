import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import type { Baseline } from './baseline';
import { median, type Sample } from './statistics';

/** The scenarios of each round, in this order: each one over HTTP next to its baseline. */
export const SCENARIOS = [
  'baseline, one product',
  'HTTP, one product',
  'baseline, 1000 products',
  'HTTP, 1000 products',
  'HTTP, baskets of 3 out of 100',
  'HTTP, refusals of a sold-out product',
  'HTTP, whole sales of one product',
  'baseline, one connection',
  'HTTP, one connection',
  'SQL, one product, 64 a transaction',
] as const;
export type Scenario = (typeof SCENARIOS)[number];
export type Round = Record<Scenario, Sample>;

const rate = (sample: Sample): number => sample.rate;
const p50 = (sample: Sample): number => sample.p50;
const p95 = (sample: Sample): number => sample.p95;
const p99 = (sample: Sample): number => sample.p99;

interface Ratio {
  what: string;
  of: Scenario;
  to: Scenario;
  pick: (sample: Sample) => number;
  target: string;
}

const RATIOS: Ratio[] = [
  { what: 'one product', of: 'HTTP, one product', to: 'baseline, one product', pick: rate, target: '≥ 8' },
  { what: '1000 products', of: 'HTTP, 1000 products', to: 'baseline, 1000 products', pick: rate, target: '≥ 1.6' },
  {
    what: 'baskets, to the baseline of one product',
    ...{ of: 'HTTP, baskets of 3 out of 100', to: 'baseline, one product', pick: rate, target: '≥ 4' },
  },
  { what: 'p99, one product', of: 'HTTP, one product', to: 'baseline, one product', pick: p99, target: '≤ 0.125' },
  {
    what: 'refusals, to the acceptances of one product',
    ...{ of: 'HTTP, refusals of a sold-out product', to: 'HTTP, one product', pick: rate, target: '≥ 1.5' },
  },
  {
    what: 'p50, one connection',
    of: 'HTTP, one connection',
    to: 'baseline, one connection',
    pick: p50,
    target: '≤ 1.5',
  },
  {
    what: 'one product, to 64 a transaction',
    ...{ of: 'HTTP, one product', to: 'SQL, one product, 64 a transaction', pick: rate, target: '≥ 0.25' },
  },
];

interface Circumstances {
  seconds: number;
  clients: number;
  baseline: Baseline;
}

/** The medians of all rounds as a page of Markdown, with machine and commit. */
export function reportOf(rounds: readonly Round[], { seconds, clients, baseline }: Circumstances): string {
  const row = (scenario: Scenario): string => {
    const [perSecond, ...times] = [rate, p50, p95, p99].map((pick) =>
      median(rounds.map((round) => pick(round[scenario]))),
    );
    return `| ${scenario} | ${perSecond!.toFixed(0)} | ${times.map((ms) => ms.toFixed(1)).join(' | ')} |`;
  };
  const ratio = ({ what, of, to, pick, target }: Ratio): string => {
    const values = rounds.map((round) => pick(round[of]) / pick(round[to]));
    const each = values.map((value) => value.toFixed(2)).join(', ');
    // The targets were set for the slower baseline in Node.
    const goal = baseline.isPgbench && to.startsWith('baseline') ? '' : target;
    return `| ${what} | ${median(values).toFixed(2)} | ${goal} | ${each} |`;
  };
  return `# Reservations a second

\`npm run bench\`, ${rounds.length} rounds of ${seconds} s a line, ${clients} connections; medians of the rounds, ratios within a round.
PostgreSQL with its default durability, the service and the load generator share the machine:
${machine()}, commit ${commit()}.
The baseline (${baseline.name}) is one transaction of six statements for each reservation, no HTTP.
The last line is the upper bound: the same rows inserted directly, 64 reservations a transaction; its times are a batch's.
Whole sales: a reservation, then its cancellation (three of ten), its commit (two), or its order and the confirmation
(five); the rate counts requests, 2.5 a sale.

| | a second | p50 ms | p95 ms | p99 ms |
| --- | --- | --- | --- | --- |
${SCENARIOS.map(row).join('\n')}

| HTTP to baseline | ratio | target | each round |
| --- | --- | --- | --- |
${RATIOS.map(ratio).join('\n')}
`;
}

export function machine(): string {
  const memory = (totalmem() / 2 ** 30).toFixed(0);
  return `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${memory} GiB, Node ${process.version}`;
}

export function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty', '--exclude', '*'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
