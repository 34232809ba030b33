import { afterFailure, isHopeless, pauseWanted, verdictOn } from './webhook-policy';

const NOW = new Date('2026-01-31T12:00:00.000Z');
const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000] as const;
const later = (ms: number): Date => new Date(NOW.getTime() + ms);

describe('After an attempt', () => {
  it.each([200, 201, 204, 299])('a delivery is done with status %i', (status) => {
    expect(verdictOn({ status, failures: 0, pauseMs: 0 })).toBe('delivered');
  });

  it.each([null, 100, 301, 302, 400, 404, 429, 500, 503])('it is tried again with status %p', (status) => {
    expect(verdictOn({ status, failures: 1, pauseMs: 0 }, 0.5)).toEqual({ retryAfterMs: 5 * SECOND });
  });

  it('it is given up with status 410', () => {
    expect(verdictOn({ status: 410, failures: 1, pauseMs: 0 })).toBe('dead');
  });

  it('it is tried again nine times over about three days, and then given up', () => {
    const pauses = Array.from({ length: 9 }, (_, index) => {
      const verdict = verdictOn({ status: 500, failures: index + 1, pauseMs: 0 }, 0.5);
      return (verdict as { retryAfterMs: number }).retryAfterMs;
    });
    const hours = [2, 5, 10, 14, 20, 24].map((count) => count * HOUR);
    expect(pauses).toEqual([5 * SECOND, 5 * MINUTE, 30 * MINUTE, ...hours]);
    expect(pauses.reduce((sum, pause) => sum + pause) / DAY).toBeCloseTo(3.1, 0);
    expect(verdictOn({ status: 500, failures: 10, pauseMs: 0 })).toBe('dead');
  });

  it('its pause is up to a fifth shorter or longer, and not shorter than the receiver wants', () => {
    expect(verdictOn({ status: 500, failures: 2, pauseMs: 0 }, 0)).toEqual({ retryAfterMs: 4 * MINUTE });
    expect(verdictOn({ status: 500, failures: 2, pauseMs: 0 }, 1)).toEqual({ retryAfterMs: 6 * MINUTE });
    expect(verdictOn({ status: 503, failures: 1, pauseMs: HOUR }, 1)).toEqual({ retryAfterMs: HOUR });
  });
});

describe('The pause that a receiver wants', () => {
  it.each<[number | null, string | undefined, number]>([
    [503, '120', 2 * MINUTE],
    [429, '0', 0],
    [502, later(HOUR).toUTCString(), HOUR],
    [504, later(-HOUR).toUTCString(), 0],
    [503, '9'.repeat(400), DAY],
    [503, later(3 * DAY).toUTCString(), DAY],
    [503, 'soon', 0],
    [503, '-5', 0],
    [503, '', 0],
    [503, undefined, 0],
    [500, '120', 0],
    [200, '120', 0],
    [null, '120', 0],
  ])('is, with status %p and Retry-After %p, %i ms', (status, retryAfter, pauseMs) => {
    expect(pauseWanted(status, retryAfter, NOW)).toBe(pauseMs);
  });
});

describe('An endpoint that fails', () => {
  const fine = { failures: 0, failingSince: null, pausedUntil: null };

  it('is known since when', () => {
    const first = afterFailure(fine, 0, NOW);
    expect(first).toEqual({ failures: 1, failingSince: NOW, pausedUntil: null });
    expect(afterFailure(first, 0, later(HOUR))).toEqual({ failures: 2, failingSince: NOW, pausedUntil: null });
  });

  it('is paused for as long as it wants, never less than before, and for a minute from the fifth time on', () => {
    expect(afterFailure(fine, HOUR, NOW).pausedUntil).toEqual(later(HOUR));
    expect(afterFailure({ ...fine, pausedUntil: later(DAY) }, HOUR, NOW).pausedUntil).toEqual(later(DAY));
    expect(afterFailure({ ...fine, failures: 3 }, 0, NOW).pausedUntil).toBeNull();
    expect(afterFailure({ ...fine, failures: 4 }, 0, NOW).pausedUntil).toEqual(later(MINUTE));
  });

  it('is hopeless after five days', () => {
    expect(isHopeless(fine, NOW)).toBe(false);
    expect(isHopeless({ ...fine, failingSince: later(-5 * DAY + 1) }, NOW)).toBe(false);
    expect(isHopeless({ ...fine, failingSince: later(-5 * DAY) }, NOW)).toBe(true);
  });
});
