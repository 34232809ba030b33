const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The pauses between attempts that Standard Webhooks recommends: about three days in all. */
const PAUSES_MS = [
  ...[5 * SECOND_MS, 5 * MINUTE_MS, 30 * MINUTE_MS],
  ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR_MS),
];
/** Longer or shorter by at most this part, so that those that failed together do not come again together. */
const JITTER = 0.2;
const LONGEST_RETRY_AFTER_MS = DAY_MS;
const LONGEST_FAILING_MS = 5 * DAY_MS;

const GONE = 410;
/** The receiver, or what stands before it, cannot take so much now. */
const BUSY = [429, 502, 503, 504];

/** After so many failures in a row, an endpoint gets one request a minute, until one succeeds. */
export const FAILURES_TO_BREAK = 5;
export const BROKEN_PAUSE_MS = MINUTE_MS;

/** What becomes of a delivery after an attempt. */
export type Verdict = 'delivered' | 'dead' | { readonly retryAfterMs: number };

interface Attempted {
  readonly status: number | null;
  /** How often the delivery has failed, with this time. */
  readonly failures: number;
  /** For how long the receiver wants to be left in peace. */
  readonly pauseMs: number;
}

export function isSuccess(status: number | null): boolean {
  return status !== null && status >= 200 && status < 300;
}

export function isGone(status: number | null): boolean {
  return status === GONE;
}

/** @param random from 0 to 1 */
export function verdictOn({ status, failures, pauseMs }: Attempted, random = Math.random()): Verdict {
  if (isSuccess(status)) {
    return 'delivered';
  }
  const ownPauseMs = PAUSES_MS[failures - 1];
  if (isGone(status) || ownPauseMs === undefined) {
    return 'dead';
  }
  return { retryAfterMs: Math.max(pauseMs, ownPauseMs * (1 + JITTER * (2 * random - 1))) };
}

/** For how long a busy receiver wants to be left in peace, in milliseconds; 0 if it says nothing, at most a day. */
export function pauseWanted(status: number | null, retryAfter: string | undefined, now: Date): number {
  if (status === null || !BUSY.includes(status) || retryAfter === undefined) {
    return 0;
  }
  const wanted = /^\d+$/.test(retryAfter) ? Number(retryAfter) * SECOND_MS : Date.parse(retryAfter) - now.getTime();
  return wanted > 0 ? Math.min(wanted, LONGEST_RETRY_AFTER_MS) : 0;
}

/** What is known of an endpoint that has failed. */
export interface Trouble {
  /** In a row. */
  readonly failures: number;
  readonly failingSince: Date | null;
  readonly pausedUntil: Date | null;
}

/** The same after one more failure. */
export function afterFailure(before: Trouble, pauseMs: number, now: Date): Trouble & { readonly failingSince: Date } {
  const failures = before.failures + 1;
  const pauses = [pauseMs, failures >= FAILURES_TO_BREAK ? BROKEN_PAUSE_MS : 0];
  const until = Math.max(before.pausedUntil?.getTime() ?? 0, ...pauses.map((ms) => (ms > 0 ? now.getTime() + ms : 0)));
  return {
    failures,
    failingSince: before.failingSince ?? now,
    pausedUntil: until > 0 ? new Date(until) : null,
  };
}

/** Whether nothing but failures has come for so long that nobody is expected to be there. */
export function isHopeless({ failingSince }: Trouble, now: Date): boolean {
  return failingSince !== null && now.getTime() - failingSince.getTime() >= LONGEST_FAILING_MS;
}
