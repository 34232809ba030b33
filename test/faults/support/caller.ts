export interface Request {
  readonly path: string;
  /** GET unless there is a body, then POST. */
  readonly method?: string;
  readonly body?: object;
  readonly key?: string;
}

/** What became of a request: an answer, or `cut` if its connection ended without one. */
export interface Outcome {
  readonly status: number | 'cut';
  // Whatever the API answered.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body: any;
  readonly headers: Headers;
  /** How long it took. */
  readonly ms: number;
}

/** Far past every deadline: who is not answered by then never is. */
const FOREVER_MS = 60_000;

/** Speaks HTTP to a service that may go away at any moment. */
export class Caller {
  constructor(
    private readonly address: () => string,
    readonly token?: string,
  ) {}

  async ask({ path, body, key, method = body ? 'POST' : 'GET' }: Request): Promise<Outcome> {
    const startedAt = performance.now();
    const headers = {
      ...(this.token !== undefined && { Authorization: `Bearer ${this.token}` }),
      ...(body && { 'Content-Type': 'application/json' }),
      ...(key !== undefined && { 'Idempotency-Key': key }),
    };
    const asked = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(FOREVER_MS) };
    try {
      const response = await fetch(`${this.address()}${path}`, asked);
      const answer: unknown = await response.json();
      return { status: response.status, body: answer, headers: response.headers, ms: performance.now() - startedAt };
    } catch (error) {
      if ((error as Error).name === 'TimeoutError') {
        throw new Error(`${method} ${path} was never answered`, { cause: error });
      }
      return { status: 'cut', body: undefined, headers: new Headers(), ms: performance.now() - startedAt };
    }
  }
}

/** Status and code, as in `503 overloaded`. */
export function nameOf({ status, body }: Outcome): string {
  return typeof status === 'number' && status >= 400 ? `${status} ${body.code}` : String(status);
}

/** How often each came. */
export function countNames(outcomes: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of outcomes.map(nameOf)) {
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}
