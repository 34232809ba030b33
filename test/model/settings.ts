/**
 * How long the service is held against the model: always the same and not for long, unless told otherwise.
 * MODEL_RUNS says how many runs, MODEL_SEED which; 0 is a new seed each time.
 */
const { MODEL_RUNS: runs, MODEL_SEED: seed } = process.env;

const LIMIT_MS = 120_000;
const LIMIT_OF_A_RUN_MS = 5000;

interface Settings {
  readonly numRuns: number;
  readonly seed?: number;
  /** Also for shrinking what failed. */
  readonly interruptAfterTimeLimit: number;
}

export function settingsOf(usual: { numRuns: number; seed: number }): Settings {
  const limit = runs === undefined ? LIMIT_MS : Number(runs) * LIMIT_OF_A_RUN_MS;
  const { seed: _, ...unseeded } = { ...usual, interruptAfterTimeLimit: limit };
  const numRuns = runs === undefined ? usual.numRuns : Number(runs);
  return seed === '0' ? { ...unseeded, numRuns } : { ...unseeded, numRuns, seed: Number(seed ?? usual.seed) };
}

/** For a test: more than it can take. */
export function timeoutOf({ interruptAfterTimeLimit }: Settings): number {
  return 2 * interruptAfterTimeLimit;
}

/** What was done, for whoever asked for more than usual. */
export function report(counts: object): void {
  if (runs !== undefined) {
    process.stdout.write(`${JSON.stringify(counts, undefined, 1)}\n`);
  }
}
