import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { median, type Sample } from './statistics';

/** What is measured in every round, in this order: each over HTTP beside its baseline. */
export const SCENARIOS = [
  'baseline, one product',
  'HTTP, one product',
  'baseline, 1000 products',
  'HTTP, 1000 products',
  'HTTP, baskets of 3 out of 100',
  'HTTP, refusals of a sold-out product',
  'baseline, one connection',
  'HTTP, one connection',
] as const;
export type Scenario = (typeof SCENARIOS)[number];
export type Round = Record<Scenario, Sample>;

/** The medians of all rounds as a page of Markdown, with machine and commit. */
export function reportOf(rounds: readonly Round[], { seconds, clients }: { seconds: number; clients: number }): string {
  const of = (scenario: Scenario, pick: (sample: Sample) => number): number =>
    median(rounds.map((round) => pick(round[scenario])));
  const ratio = (left: Scenario, right: Scenario, pick: (sample: Sample) => number): string =>
    median(rounds.map((round) => pick(round[left]) / pick(round[right]))).toFixed(2);
  const rate = (sample: Sample): number => sample.rate;
  const row = (scenario: Scenario): string => {
    const [perSecond, p50, p95, p99] = [
      rate,
      ({ p50 }: Sample) => p50,
      ({ p95 }: Sample) => p95,
      ({ p99 }: Sample) => p99,
    ].map((pick) => of(scenario, pick));
    return `| ${scenario} | ${perSecond!.toFixed(0)} | ${p50!.toFixed(1)} | ${p95!.toFixed(1)} | ${p99!.toFixed(1)} |`;
  };
  return `# Reservations a second

\`npm run bench\`, ${rounds.length} rounds of ${seconds} s a line, ${clients} connections; medians of the rounds, ratios within a round.
PostgreSQL with its default durability, the service and the load generator share the machine:
${cpus().length} cores (${cpus()[0]?.model.trim()}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}, commit ${commit()}.
The baseline is raw SQL: one transaction of six statements for each reservation, no HTTP.

| | a second | p50 ms | p95 ms | p99 ms |
| --- | --- | --- | --- | --- |
${SCENARIOS.map(row).join('\n')}

| ratio | |
| --- | --- |
| one product: HTTP to baseline | ${ratio('HTTP, one product', 'baseline, one product', rate)} |
| 1000 products: HTTP to baseline | ${ratio('HTTP, 1000 products', 'baseline, 1000 products', rate)} |
| baskets over HTTP to the baseline's one product | ${ratio('HTTP, baskets of 3 out of 100', 'baseline, one product', rate)} |
| p99 on one product: HTTP to baseline | ${ratio('HTTP, one product', 'baseline, one product', ({ p99 }) => p99)} |
| refusals to acceptances of one product | ${ratio('HTTP, refusals of a sold-out product', 'HTTP, one product', rate)} |
| one connection, p50: HTTP to baseline | ${ratio('HTTP, one connection', 'baseline, one connection', ({ p50 }) => p50)} |
`;
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
