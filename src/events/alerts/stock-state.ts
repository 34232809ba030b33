/** How a product's stock was told last: `out` when nothing was available, `low` at its threshold or below. */
export const STOCK_STATES = ['ok', 'low', 'out'] as const;
export type StockState = (typeof STOCK_STATES)[number];

export type StockCrossing = 'stock.low' | 'stock.depleted' | 'stock.replenished';

/** What is available of a product over all warehouses, and at how many pieces it is low. */
export interface StockSeen {
  readonly available: number;
  readonly threshold: number;
}

export interface StockJudgement {
  readonly state: StockState;
  /** What is to be told, in this order. */
  readonly crossings: readonly StockCrossing[];
}

/**
 * Compares a product's stock with what was told last. Stock that goes up and down around a limit is told once: low stock ends
 * only 10 % above the threshold, and depleted stock only when 10 % of the threshold are back.
 */
export function judgeStock(before: StockState, { available, threshold }: StockSeen): StockJudgement {
  const margin = Math.ceil(threshold / 10);
  if (available === 0) {
    return { state: 'out', crossings: onDepleted(before, threshold) };
  }
  if (before === 'ok') {
    return available > threshold ? unchanged(before) : { state: 'low', crossings: ['stock.low'] };
  }
  if (available > threshold + margin) {
    return { state: 'ok', crossings: ['stock.replenished'] };
  }
  return unchanged(before === 'out' && available < margin ? 'out' : 'low');
}

/** The state of a product that is new: a product that begins with little stock or none has crossed nothing. */
export function firstState(seen: StockSeen): StockState {
  return judgeStock('ok', seen).state;
}

function onDepleted(before: StockState, threshold: number): StockCrossing[] {
  switch (before) {
    case 'ok':
      return threshold > 0 ? ['stock.low', 'stock.depleted'] : ['stock.depleted'];
    case 'low':
      return ['stock.depleted'];
    case 'out':
      return [];
  }
}

function unchanged(state: StockState): StockJudgement {
  return { state, crossings: [] };
}
