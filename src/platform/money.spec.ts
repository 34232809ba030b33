import { fromCents, isMoney, lineTotal, sumOfLines, toCents } from './money';

describe('Money', () => {
  it.each([
    ['0', 0n],
    ['0.1', 10n],
    ['0.10', 10n],
    ['0.01', 1n],
    ['19.9', 1990n],
    ['19.90', 1990n],
    ['007', 700n],
    ['9999999999999999999999.99', 999_999_999_999_999_999_999_999n],
  ])('reads %s as whole cents', (text, cents) => {
    expect([isMoney(text), toCents(text)]).toEqual([true, cents]);
  });

  it.each([
    '',
    ' ',
    '-1',
    '+1',
    '1.',
    '.5',
    '1.001',
    '1,00',
    '1e3',
    '0x10',
    'NaN',
    'Infinity',
    ' 1',
    '1 ',
    '1\n',
    '1_000',
    '١',
    '1'.repeat(23),
  ])('refuses %p', (text) => {
    expect(isMoney(text)).toBe(false);
    expect(() => toCents(text)).toThrow(RangeError);
  });

  it.each([
    [0n, '0.00'],
    [5n, '0.05'],
    [99n, '0.99'],
    [100n, '1.00'],
    [1990n, '19.90'],
    [999_999_999_999_999_999_999_999n, '9999999999999999999999.99'],
  ])('writes %p cents with two places', (cents, text) => {
    expect([fromCents(cents), toCents(fromCents(cents))]).toEqual([text, cents]);
  });

  it('multiplies and adds without rounding, where binary floating point would not', () => {
    expect(0.1 * 3).not.toBe(0.3);
    expect(lineTotal('0.10', 3)).toBe('0.30');
    expect(lineTotal('999999999999.99', 1_000_000)).toBe('999999999999990000.00');
    expect(
      sumOfLines([
        { unitPrice: '0.10', quantity: 1 },
        { unitPrice: '0.2', quantity: 1 },
      ]),
    ).toBe('0.30');
    expect(
      sumOfLines([
        { unitPrice: '1.01', quantity: 7 },
        { unitPrice: '90071992547409.93', quantity: 100 },
      ]),
    ).toBe('9007199254741000.07');
    expect(sumOfLines([])).toBe('0.00');
  });
});
