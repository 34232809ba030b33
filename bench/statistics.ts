/** The result of one run of one scenario. Durations are in milliseconds. */
export interface Sample {
  /** Successful operations a second. */
  readonly rate: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  /** How often each outcome occurred, including the warm-up. */
  readonly outcomes: ReadonlyMap<string, number>;
}

/** Collects latencies after the warm-up, and outcomes from the start. */
export class Recorder {
  private readonly latencies: number[] = [];
  private readonly outcomes = new Map<string, number>();

  constructor(private readonly countedFrom: number) {}

  record(outcome: string, startedAt: number): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    if (startedAt >= this.countedFrom) {
      this.latencies.push(performance.now() - startedAt);
    }
  }

  /** @param size how many units of work one recorded operation does */
  sample(seconds: number, size = 1): Sample {
    return sampleOf(this.latencies, this.outcomes, seconds, size);
  }
}

/** @param latencies of the operations that succeeded within these seconds, in milliseconds, in any order */
export function sampleOf(latencies: number[], outcomes: Sample['outcomes'], seconds: number, size = 1): Sample {
  const sorted = latencies.sort((left, right) => left - right);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { rate: (sorted.length * size) / seconds, p50: at(0.5), p95: at(0.95), p99: at(0.99), outcomes };
}

/** The value below which this share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
