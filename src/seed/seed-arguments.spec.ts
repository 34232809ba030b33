import { ConfigurationError } from '../platform/config/app-config';
import { readArguments } from './seed-arguments';

describe('The arguments of a seed', () => {
  it.each<[string[], RegExp]>([
    [[], /^--orders must be a whole number from 1 to 10000000$/],
    [['--orders', '0'], /^--orders must be a whole number from 1 to 10000000$/],
    [['--orders', '1e3'], /^--orders must be a whole number from 1 to 10000000$/],
    [['--orders', '10000001'], /^--orders must be a whole number from 1 to 10000000$/],
    [['--orders', '9', '--products', '100001'], /^--products must be a whole number from 1 to 100000$/],
    [['--orders', '9', '--products', '-1'], /--products/],
    [['--orders', '9', '--months', '121'], /^--months must be a whole number from 1 to 120$/],
    [['--orders', '9', '--batch', '0'], /^--batch must be a whole number from 1 to 100000$/],
    [['--orders', '9', '--rng-seed', 'a'], /^--rng-seed must be a whole number from 1 to 1000000000$/],
    [['--orders', '9', '--end', '2026-02-30'], /^--end must be a date from/],
    [['--orders', '9', '--end', 'today'], /^--end must be a date from/],
    [['--orders'], /--orders/],
    [['--ordres', '9'], /--ordres/],
    [['--orders', '9', 'more'], /more/],
  ])('are refused in one line that names the argument and the rule: %j', (args, line) => {
    expect(() => readArguments(args)).toThrow(ConfigurationError);
    expect(() => readArguments(args)).toThrow(line);
    expect(() => readArguments(args)).not.toThrow(/\n/);
  });

  it('have defaults that grow with the number of orders', () => {
    const plain = { end: undefined, isForced: false, wantsHelp: false, months: 24, batch: 20_000, rngSeed: 1 };
    expect(readArguments(['--orders', '30'])).toEqual({ ...plain, orders: 30, products: 20 });
    expect(readArguments(['--orders', '1000000'])).toEqual({ ...plain, orders: 1_000_000, products: 2000 });
  });

  it('may all be given', () => {
    const given = '--orders 9 --products 8 --months 6 --batch 5 --rng-seed 4 --end 2026-02-28 --force';
    const numbers = { orders: 9, products: 8, months: 6, batch: 5, rngSeed: 4 };
    expect(readArguments(given.split(' '))).toEqual({
      ...numbers,
      end: '2026-02-28',
      isForced: true,
      wantsHelp: false,
    });
  });
});
