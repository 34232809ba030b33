/**
 * Money is a decimal with two places: in the API and the database a string like "19.90", in calculations whole cents as
 * a bigint. Never a binary floating point number, which cannot represent 0.1.
 */
const MONEY = /^(\d{1,22})(?:\.(\d{1,2}))?$/;

export function isMoney(text: string): boolean {
  return MONEY.test(text);
}

/** @throws RangeError if the text is not a decimal with at most two places */
export function toCents(text: string): bigint {
  const [, units, fraction = ''] = MONEY.exec(text) ?? [];
  if (units === undefined) {
    throw new RangeError(`Not an amount of money: ${text}`);
  }
  return BigInt(units) * 100n + BigInt(fraction.padEnd(2, '0'));
}

export function fromCents(cents: bigint): string {
  return `${cents / 100n}.${String(cents % 100n).padStart(2, '0')}`;
}

/** What `quantity` pieces at `unitPrice` cost. */
export function lineTotal(unitPrice: string, quantity: number): string {
  return fromCents(toCents(unitPrice) * BigInt(quantity));
}

/** What all the lines cost together. */
export function sumOfLines(lines: readonly { unitPrice: string; quantity: number }[]): string {
  return fromCents(lines.reduce((sum, line) => sum + toCents(line.unitPrice) * BigInt(line.quantity), 0n));
}
