import { retryAfter } from './mail-retries';

describe('A mail that was not taken', () => {
  it('is sent again for about three days, after longer and longer waits', () => {
    const waits: number[] = [];
    for (let wait = retryAfter({}, 1); wait !== undefined; wait = retryAfter({}, waits.length + 1)) {
      waits.push(wait);
    }
    expect(waits).toEqual([...waits].sort((left, right) => left - right));
    expect(waits[0]).toBe(60);
    const hours = waits.reduce((sum, wait) => sum + wait, 0) / 3600;
    expect(hours).toBeGreaterThan(72);
    expect(hours).toBeLessThan(80);
  });

  it.each([
    ['the server is away', { code: 'ESOCKET' }],
    ['it is too slow', { code: 'ETIMEDOUT' }],
    ['it refuses this mail for now', { code: 'EENVELOPE', responseCode: 451 }],
    ['it cannot store it', { code: 'EMESSAGE', responseCode: 452 }],
    ['it does not accept our password, which may be mended', { code: 'EAUTH', responseCode: 535 }],
    ['we are stopping', { code: 'EABORT' }],
  ])('is sent again if %s', (_, failure) => {
    expect(retryAfter(failure, 1)).toBe(60);
  });

  it.each([
    ['recipient', { code: 'EENVELOPE', responseCode: 550 }],
    ['text', { code: 'EMESSAGE', responseCode: 554 }],
  ])('is given up if the server refuses its %s for good', (_, failure) => {
    expect(retryAfter(failure, 1)).toBeUndefined();
  });
});
