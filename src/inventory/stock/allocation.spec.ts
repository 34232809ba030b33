import { allocate, type Allotment, type Demand, type Supply } from './allocation';

const PRODUCTS = ['x', 'y'];
const WAREHOUSES = ['a', 'b', 'c'];

const at = (warehouseId: string, available: number, productId = 'p'): Supply => ({ productId, warehouseId, available });
const wants = (quantity: number, warehouseId?: string, productId = 'p'): Demand => ({
  productId,
  quantity,
  warehouseId,
});
const takes = (warehouseId: string, quantity: number, productId = 'p'): Allotment => ({
  productId,
  warehouseId,
  quantity,
});

describe('allocate', () => {
  it('takes a line whole from the first warehouse that has enough, not from the first that has some', () => {
    expect(allocate([wants(3)], [at('a', 2), at('b', 4), at('c', 9)]).allotments).toEqual([takes('b', 3)]);
  });

  it('splits a line in the order of the warehouses only if none has enough', () => {
    expect(allocate([wants(6)], [at('a', 2), at('b', 0), at('c', 3), at('d', 4)]).allotments).toEqual([
      takes('a', 2),
      takes('c', 3),
      takes('d', 1),
    ]);
  });

  it('adds up the lines of one product before it looks for a warehouse', () => {
    expect(allocate([wants(2), wants(2)], [at('a', 3), at('b', 4)]).allotments).toEqual([takes('b', 4)]);
  });

  it('serves lines that name their warehouse first, wherever they stand', () => {
    expect(allocate([wants(2), wants(2, 'a')], [at('a', 3), at('b', 2)]).allotments).toEqual([
      takes('a', 2),
      takes('b', 2),
    ]);
  });

  it('gives one allotment where both kinds of lines come from one warehouse', () => {
    expect(allocate([wants(2, 'a'), wants(1)], [at('a', 3)]).allotments).toEqual([takes('a', 3)]);
  });

  it('takes nothing and names every short demand if one of them is short', () => {
    const demands = [wants(5, 'a', 'x'), wants(1, undefined, 'y'), wants(3, undefined, 'z')];
    expect(allocate(demands, [at('a', 4, 'x'), at('b', 9, 'x'), at('a', 1, 'y'), at('b', 2, 'z')])).toEqual({
      allotments: [],
      shortages: [
        { product_id: 'x', warehouse_id: 'a', requested: 5, available: 4 },
        { product_id: 'z', requested: 3, available: 2 },
      ],
    });
  });

  it('says that nothing is available where there is no level at all', () => {
    expect(allocate([wants(1)], []).shortages).toEqual([{ product_id: 'p', requested: 1, available: 0 }]);
  });

  describe('in 5000 random cases', () => {
    const cases = randomCases(5000, 20_260_131);

    it('serves all demands if and only if some way to serve them exists', () => {
      const feasible = cases.map((one) => canBeServed(addedUp(one.demands), available(one.supplies)));
      expect(cases.map((one) => allocate(one.demands, one.supplies).shortages.length === 0)).toEqual(feasible);
      // Both outcomes must be frequent, or the comparison proves little.
      expect(feasible.filter(Boolean).length).toBeGreaterThan(1000);
      expect(feasible.filter((is) => !is).length).toBeGreaterThan(1000);
    });

    it('never takes more than a warehouse has, and exactly what is asked for', () => {
      for (const { demands, supplies, allotments } of served(cases)) {
        const has = available(supplies);
        expect(
          allotments.every(
            ({ productId, warehouseId, quantity }) => quantity > 0 && quantity <= has(productId, warehouseId),
          ),
        ).toBe(true);
        expect(new Set(allotments.map(({ productId, warehouseId }) => productId + warehouseId)).size).toBe(
          allotments.length,
        );
        for (const productId of PRODUCTS) {
          expect(sum(allotments.filter(of(productId)))).toBe(sum(demands.filter(of(productId))));
        }
      }
    });

    it('takes what names its warehouse from there, and splits the rest only if no warehouse could serve it whole', () => {
      let splits = 0;
      for (const { demands, supplies, allotments } of served(cases)) {
        for (const productId of PRODUCTS) {
          const free = demands.filter(of(productId)).filter((demand) => demand.warehouseId === undefined);
          const rows = supplies.filter(of(productId)).map(({ warehouseId, available: has }) => {
            const inHere = (line: Demand): boolean => line.productId === productId && line.warehouseId === warehouseId;
            const pinned = sum(demands.filter(inHere));
            return { left: has - pinned, unpinned: sum(allotments.filter(inHere)) - pinned };
          });
          expect(rows.every(({ unpinned }) => unpinned >= 0)).toBe(true);
          expect(rows.map(({ unpinned }) => unpinned)).toEqual(
            preferred(
              rows.map(({ left }) => left),
              sum(free),
            ),
          );
          splits += rows.filter(({ unpinned }) => unpinned > 0).length > 1 ? 1 : 0;
        }
      }
      expect(splits).toBeGreaterThan(100);
    });

    it('names exactly the demands that cannot be met, with all that is asked for and all there is', () => {
      for (const { demands, supplies } of cases) {
        const { shortages } = allocate(demands, supplies);
        expect(new Set(shortages.map((short) => JSON.stringify(short)))).toEqual(
          new Set(expectedShortages(demands, supplies)),
        );
      }
    });

    it('changes nothing of what it is given', () => {
      // The cases are frozen: a write to one throws.
      expect(() => cases.forEach(({ demands, supplies }) => allocate(demands, supplies))).not.toThrow();
    });
  });
});

interface Case {
  demands: readonly Demand[];
  supplies: readonly Supply[];
}

/** Small cases from a linear congruential generator, the same in every run. */
function randomCases(count: number, seed: number): Case[] {
  let state = seed;
  const below = (bound: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const pick = <T>(from: readonly T[]): T => from[below(from.length)]!;
  return Array.from({ length: count }, () => {
    const demands = Array.from({ length: 1 + below(4) }, () =>
      Object.freeze({
        productId: pick(PRODUCTS),
        quantity: 1 + below(3),
        warehouseId: pick([undefined, undefined, ...WAREHOUSES]),
      }),
    );
    const supplies = PRODUCTS.flatMap((productId) =>
      WAREHOUSES.filter(() => below(5) > 0)
        .map((warehouseId) => ({
          rank: below(1000),
          supply: Object.freeze({ productId, warehouseId, available: below(5) }),
        }))
        .sort((left, right) => left.rank - right.rank)
        .map(({ supply }) => supply),
    );
    return { demands: Object.freeze(demands), supplies: Object.freeze(supplies) };
  });
}

function served(cases: readonly Case[]): (Case & { allotments: Allotment[] })[] {
  return cases
    .map((one) => ({ ...one, ...allocate(one.demands, one.supplies) }))
    .filter(({ shortages }) => shortages.length === 0);
}

type Has = (productId: string, warehouseId: string) => number;

function available(supplies: readonly Supply[]): Has {
  return (productId, warehouseId) =>
    supplies.find((one) => one.productId === productId && one.warehouseId === warehouseId)?.available ?? 0;
}

/** Tries every way to serve the demands, piece by piece. */
function canBeServed([first, ...rest]: readonly Demand[], has: Has): boolean {
  if (!first) {
    return true;
  }
  const { productId, warehouseId, quantity } = first;
  const next = quantity > 1 ? [{ ...first, quantity: quantity - 1 }, ...rest] : rest;
  return (warehouseId ? [warehouseId] : WAREHOUSES).some((from) => {
    const without: Has = (product, warehouse) =>
      has(product, warehouse) - (product === productId && warehouse === from ? 1 : 0);
    return has(productId, from) > 0 && canBeServed(next, without);
  });
}

function addedUp(demands: readonly Demand[]): Demand[] {
  return PRODUCTS.flatMap((productId) =>
    [undefined, ...WAREHOUSES].map((warehouseId) => {
      const same = demands.filter((demand) => demand.productId === productId && demand.warehouseId === warehouseId);
      return { productId, warehouseId, quantity: sum(same) };
    }),
  ).filter(({ quantity }) => quantity > 0);
}

/** How many pieces of a line each warehouse gives, by the contract's rule. */
function preferred(left: number[], quantity: number): number[] {
  const whole = left.findIndex((has) => has >= quantity);
  let missing = quantity;
  return left.map((has, index) => {
    const part = whole === -1 ? Math.min(has, missing) : index === whole ? quantity : 0;
    missing -= part;
    return part;
  });
}

function expectedShortages(demands: readonly Demand[], supplies: readonly Supply[]): string[] {
  const has = available(supplies);
  const fits = ({ productId, warehouseId, quantity }: Demand): boolean =>
    warehouseId !== undefined && quantity <= has(productId, warehouseId);
  const sums = addedUp(demands);
  return sums.flatMap((demand) => {
    const { productId: product_id, warehouseId: warehouse_id } = demand;
    const named = warehouse_id ? 0 : sum(sums.filter(of(product_id)).filter(fits));
    const requested = demand.quantity + named;
    const inAll = supplies.filter(of(product_id)).reduce((total, supply) => total + supply.available, 0);
    const left = warehouse_id ? has(product_id, warehouse_id) : inAll;
    return requested > left
      ? [JSON.stringify({ product_id, ...(warehouse_id && { warehouse_id }), requested, available: left })]
      : [];
  });
}

function of(productId: string): (thing: { productId: string }) => boolean {
  return (thing) => thing.productId === productId;
}

function sum(lines: readonly { quantity: number }[]): number {
  return lines.reduce((total, line) => total + line.quantity, 0);
}
