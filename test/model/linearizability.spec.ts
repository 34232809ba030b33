import fc from 'fast-check';
import { linearize, type Model, type Operation } from './linearizability';

/** A cell that holds a number: 0 at first. */
type Call = { readonly write: number } | { readonly read: number };

const CELL: Model<number, Call> = {
  apply: (value, call) => ('write' in call ? call.write : call.read === value ? value : undefined),
  keyOf: String,
};

const at = (start: number, end: number, call: Call): Operation<Call> => ({ start, end, call });
const outcomeOf = (...operations: Operation<Call>[]): string => linearize(operations, 0, CELL).outcome;

describe('linearize', () => {
  it('explains nothing at all', () => {
    expect(outcomeOf()).toBe('explained');
  });

  it('explains what was read by what was written at the same time', () => {
    expect(outcomeOf(at(1, 4, { write: 7 }), at(2, 3, { read: 0 }))).toBe('explained');
    expect(outcomeOf(at(1, 4, { write: 7 }), at(2, 3, { read: 7 }))).toBe('explained');
    expect(outcomeOf(at(1, 4, { write: 7 }), at(2, 3, { read: 8 }))).toBe('not explained');
  });

  it('keeps to the order of what did not overlap', () => {
    expect(outcomeOf(at(1, 2, { write: 7 }), at(3, 4, { read: 0 }))).toBe('not explained');
    expect(outcomeOf(at(1, 2, { read: 7 }), at(3, 4, { write: 7 }))).toBe('not explained');
  });

  it('refuses two readers of one write who saw it come and go', () => {
    const seen = [at(2, 3, { read: 7 }), at(4, 5, { read: 0 })];
    expect(outcomeOf(at(1, 6, { write: 7 }), ...seen)).toBe('not explained');
    expect(outcomeOf(at(1, 6, { write: 7 }), at(1, 6, { write: 0 }), ...seen)).toBe('explained');
  });

  it('lets what was never answered have happened at any time since, or not at all', () => {
    const unanswered = at(1, Infinity, { write: 7 });
    expect(outcomeOf(unanswered, at(2, 3, { read: 0 }), at(4, 5, { read: 7 }))).toBe('explained');
    expect(outcomeOf(unanswered, at(2, 3, { read: 0 }))).toBe('explained');
    expect(outcomeOf(unanswered, at(2, 3, { read: 7 }), at(4, 5, { read: 0 }))).toBe('not explained');
  });

  it('lets happen by itself what may, while something is under way', () => {
    const decaying: Model<number, Call> = { ...CELL, internal: (value) => (value > 0 ? [value - 1] : []) };
    const outcome = (read: number): string =>
      linearize([at(1, 2, { write: 3 }), at(3, 4, { read })], 0, decaying).outcome;
    expect([outcome(3), outcome(1), outcome(4)]).toEqual(['explained', 'explained', 'not explained']);
  });

  it('gives the state after the order that it found, and says when it gives up', () => {
    const operations = [at(1, 4, { write: 7 }), at(1, 4, { write: 8 }), at(5, 6, { read: 7 })];
    expect(linearize(operations, 0, CELL)).toMatchObject({ outcome: 'explained', state: 7 });
    expect(linearize(operations, 0, CELL, 1)).toEqual({ outcome: 'gave up', visited: 1 });
  });

  it('finds an order exactly where trying all of them finds one', () => {
    const value = fc.nat(2);
    const call = fc.oneof(
      value.map((write): Call => ({ write })),
      value.map((read): Call => ({ read })),
    );
    const operation = fc.record({ call, start: fc.nat(8), length: fc.nat(6) });
    const histories = fc.array(operation, { maxLength: 5 });
    fc.assert(
      fc.property(histories, (history) => {
        // Moments are all different, as they are where one clock counts them.
        const operations = history.map(({ call, start, length }, index) =>
          at(10 * start + index, 10 * (start + length) + index + 5, call),
        );
        const isExplained = permutations(operations).some((order) => isInTime(order) && fits(order));
        expect(outcomeOf(...operations) === 'explained').toBe(isExplained);
      }),
      { numRuns: 2000, seed: 1993 },
    );
  });
});

function permutations<T>(items: readonly T[]): T[][] {
  return items.length === 0
    ? [[]]
    : items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((others) => [item, ...others]));
}

function isInTime(order: readonly Operation<Call>[]): boolean {
  return order.every(({ start }, index) => order.slice(index).every(({ end }) => start < end));
}

function fits(order: readonly Operation<Call>[]): boolean {
  let value: number | undefined = 0;
  for (const { call } of order) {
    value = value === undefined ? undefined : CELL.apply(value, call);
  }
  return value !== undefined;
}
