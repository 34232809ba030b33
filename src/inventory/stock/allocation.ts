import type { Shortage } from '../../platform/errors/domain-errors';

/** What is asked for: so many of a product, from one warehouse if it is named, else from wherever it is. */
export interface Demand {
  readonly productId: string;
  readonly warehouseId?: string;
  readonly quantity: number;
}

/** What a warehouse can give of a product. */
export interface Supply {
  readonly productId: string;
  readonly warehouseId: string;
  readonly available: number;
}

export interface Allotment {
  readonly productId: string;
  readonly warehouseId: string;
  readonly quantity: number;
}

export type Allocation =
  | { readonly allotments: Allotment[]; readonly shortages: [] }
  | { readonly allotments: []; readonly shortages: Shortage[] };

/**
 * Decides where everything that is asked for comes from: all lines or none. Lines of one product are added up first.
 * A line that names its warehouse is served from there, before those that name none; each of those comes whole from
 * the first warehouse that has enough, and is split over the warehouses in their order only if none has. A shortage of
 * a line that names none counts what the named ones of its product would take: all that is asked for, of all there is.
 * @param supplies what may be taken, in the order of preference
 */
export function allocate(demands: readonly Demand[], supplies: readonly Supply[]): Allocation {
  const stock = supplies.map((supply) => ({ ...supply }));
  const taken = new Map<string, Allotment>();
  const shortages: Shortage[] = [];
  const take = (from: Remaining, quantity: number): void => {
    from.available -= quantity;
    const key = `${from.productId} ${from.warehouseId}`;
    const before = taken.get(key)?.quantity ?? 0;
    taken.set(key, { productId: from.productId, warehouseId: from.warehouseId, quantity: before + quantity });
  };
  for (const demand of pinnedFirst(addUp(demands))) {
    const candidates = stock.filter((supply) => canServe(supply, demand));
    const available = candidates.reduce((sum, supply) => sum + supply.available, 0);
    if (available < demand.quantity) {
      const named = demand.warehouseId === undefined ? piecesOf([...taken.values()], demand.productId) : 0;
      shortages.push(shortage(demand, demand.quantity + named, available + named));
    } else {
      split(demand.quantity, candidates).forEach(([from, quantity]) => take(from, quantity));
    }
  }
  return shortages.length > 0 ? { allotments: [], shortages } : { allotments: [...taken.values()], shortages: [] };
}

type Remaining = { -readonly [Key in keyof Supply]: Supply[Key] };

function addUp(demands: readonly Demand[]): Demand[] {
  const sums = new Map<string, Demand>();
  for (const demand of demands) {
    const key = `${demand.productId} ${demand.warehouseId ?? ''}`;
    sums.set(key, { ...demand, quantity: demand.quantity + (sums.get(key)?.quantity ?? 0) });
  }
  return [...sums.values()];
}

function pinnedFirst(demands: Demand[]): Demand[] {
  return demands.sort(
    (left, right) => Number(left.warehouseId === undefined) - Number(right.warehouseId === undefined),
  );
}

function canServe(supply: Supply, { productId, warehouseId }: Demand): boolean {
  return supply.productId === productId && (warehouseId === undefined || supply.warehouseId === warehouseId);
}

function split(quantity: number, candidates: Remaining[]): [Remaining, number][] {
  const whole = candidates.find((supply) => supply.available >= quantity);
  if (whole) {
    return [[whole, quantity]];
  }
  const parts: [Remaining, number][] = [];
  let missing = quantity;
  for (const supply of candidates) {
    const part = Math.min(supply.available, missing);
    if (part > 0) {
      parts.push([supply, part]);
      missing -= part;
    }
  }
  return parts;
}

function piecesOf(allotments: readonly Allotment[], productId: string): number {
  return allotments.reduce((sum, one) => sum + (one.productId === productId ? one.quantity : 0), 0);
}

function shortage({ productId, warehouseId }: Demand, requested: number, available: number): Shortage {
  return { product_id: productId, ...(warehouseId && { warehouse_id: warehouseId }), requested, available };
}
