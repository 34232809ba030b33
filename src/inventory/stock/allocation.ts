import type { Shortage } from '../../platform/errors/domain-errors';

/** A requested quantity of a product, from the named warehouse or else from any. */
export interface Demand {
  readonly productId: string;
  readonly warehouseId?: string;
  readonly quantity: number;
}

/** The pieces of a product that a warehouse can give. */
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
 * Decides which warehouses serve the demands: all lines or none. Lines of one product are added up first. Lines that
 * name a warehouse are served first, from there. Each other line is served whole from the first warehouse that has
 * enough, and is split over the warehouses in their order only if none has. If a line without a warehouse falls short,
 * its shortage includes the lines of the product that name one: the total requested, and the total available.
 * @param supplies the available pieces, in the order of preference
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
