import { firstState, judgeStock, type StockCrossing, type StockState } from './stock-state';

type Case = [before: StockState, available: number, threshold: number, after: StockState, crossings: StockCrossing[]];

describe('The state of a stock', () => {
  it.each<Case>([
    // From plenty.
    ['ok', 6, 5, 'ok', []],
    ['ok', 5, 5, 'low', ['stock.low']],
    ['ok', 1, 5, 'low', ['stock.low']],
    ['ok', 0, 5, 'out', ['stock.low', 'stock.depleted']],
    ['ok', 1, 0, 'ok', []],
    ['ok', 0, 0, 'out', ['stock.depleted']],
    // From low: ends 10 % above the threshold, rounded up.
    ['low', 3, 5, 'low', []],
    ['low', 6, 5, 'low', []],
    ['low', 7, 5, 'ok', ['stock.replenished']],
    ['low', 110, 100, 'low', []],
    ['low', 111, 100, 'ok', ['stock.replenished']],
    ['low', 0, 5, 'out', ['stock.depleted']],
    ['low', 0, 0, 'out', ['stock.depleted']],
    ['low', 1, 0, 'ok', ['stock.replenished']],
    // From out: a few pieces that come back are told only when they go again after 10 % of the threshold were there.
    ['out', 0, 5, 'out', []],
    ['out', 0, 0, 'out', []],
    ['out', 1, 5, 'low', []],
    ['out', 9, 100, 'out', []],
    ['out', 10, 100, 'low', []],
    ['out', 10, 101, 'out', []],
    ['out', 11, 101, 'low', []],
    ['out', 110, 100, 'low', []],
    ['out', 111, 100, 'ok', ['stock.replenished']],
    ['out', 1, 0, 'ok', ['stock.replenished']],
  ])(
    'goes from %s, with %i pieces at a threshold of %i, to %s and tells %p',
    (before, available, threshold, ...after) => {
      const [state, crossings] = after;
      expect(judgeStock(before, { available, threshold })).toEqual({ state, crossings });
    },
  );

  it.each<[number, number, StockState]>([
    [0, 0, 'out'],
    [0, 5, 'out'],
    [5, 5, 'low'],
    [6, 5, 'ok'],
    [1, 0, 'ok'],
  ])('begins, with %i pieces at a threshold of %i, as %s', (available, threshold, state) => {
    expect(firstState({ available, threshold })).toBe(state);
  });

  it('is told in turns: low or depleted once, before replenished once', () => {
    let state: StockState = 'ok';
    const told: StockCrossing[] = [];
    for (const available of [20, 11, 10, 9, 10, 11, 10, 1, 0, 1, 0, 0, 1, 5, 11, 12, 11, 10, 0, 30]) {
      const judged = judgeStock(state, { available, threshold: 10 });
      state = judged.state;
      told.push(...judged.crossings);
    }
    const once: StockCrossing[] = ['stock.low', 'stock.depleted', 'stock.depleted', 'stock.replenished'];
    expect(told).toEqual([...once, 'stock.low', 'stock.depleted', 'stock.replenished']);
  });
});
