import { isDeepStrictEqual } from 'node:util';
import { InsufficientStock } from '../../platform/errors/domain-errors';
import { groupBy } from '../../platform/group-by';
import { sumOfLines } from '../../platform/money';
import { allocate, type Allotment, type Supply } from './allocation';
import type { SeenLevel } from './overdue';
import { assertWarehouses, currencyOf, type Line, type ProductOnSale, type Source } from './reservation-lines';

/** One level's share of a hold, at the price of the moment. */
export interface HeldItem extends Allotment {
  readonly sku: string;
  readonly name: string;
  readonly unitPrice: string;
}

/** What a hold is to be: from which levels, and for how much. */
export interface HoldDraft {
  readonly items: HeldItem[];
  readonly currency: string;
  readonly totalAmount: string;
}

/** What is on sale, and from where. */
export interface Assortment {
  readonly products: ReadonlyMap<string, ProductOnSale>;
  /** In the order of preference. */
  readonly warehouses: ReadonlyMap<string, Source>;
}

/** What is available at one moment, and is taken from by one hold after the other. */
export class Shelf {
  private readonly supplies: ReadonlyMap<string, { -readonly [Key in keyof SeenLevel]: SeenLevel[Key] }[]>;

  constructor(
    private readonly assortment: Assortment,
    levels: readonly (Supply & Partial<SeenLevel>)[],
  ) {
    const { warehouses } = assortment;
    const rank = new Map([...warehouses.values()].filter((one) => one.isActive).map(({ id }, index) => [id, index]));
    const inOrder = levels
      .filter(({ warehouseId }) => rank.has(warehouseId))
      .map(({ productId, warehouseId, available, overdueAtMost = 0 }) => ({
        ...{ productId, warehouseId, available, overdueAtMost },
      }))
      .sort((left, right) => rank.get(left.warehouseId)! - rank.get(right.warehouseId)!);
    this.supplies = groupBy(inOrder, (supply) => supply.productId);
  }

  /**
   * Decides what a hold of these lines would be: all of them or none. Takes nothing.
   * @throws NotFound, ValidationFailed, InsufficientStock with every short line
   */
  draft(lines: readonly Line[]): HoldDraft {
    const { products } = this.assortment;
    const items = this.allot(lines).map((allotment) => {
      const { sku, name, price: unitPrice } = products.get(allotment.productId)!;
      return { ...allotment, sku, name, unitPrice };
    });
    return { items: items.sort(byLevel), currency: currencyOf(lines, products), totalAmount: sumOfLines(items) };
  }

  /** Where the pieces of a draft would come from. @throws as `draft` */
  allot(lines: readonly Line[]): Allotment[] {
    currencyOf(lines, this.assortment.products);
    assertWarehouses(lines, this.assortment.warehouses);
    const productIds = new Set(lines.map(({ productId }) => productId));
    const { allotments, shortages } = allocate(
      lines,
      [...productIds].flatMap((id) => this.supplies.get(id) ?? []),
    );
    if (shortages.length > 0) {
      throw new InsufficientStock(shortages);
    }
    return allotments;
  }

  /** Those products of these lines that might come from other warehouses if overdue holds were expired. */
  displaced(lines: readonly Line[]): string[] {
    const isDisplaced = ([productId, own]: [string, Line[]]): boolean => {
      const supplies = this.supplies.get(productId) ?? [];
      if (supplies.length < 2 || supplies.every(({ overdueAtMost }) => overdueAtMost === 0)) {
        return false;
      }
      const expired = supplies.map((one) => ({ ...one, available: one.available + one.overdueAtMost }));
      return !isDeepStrictEqual(allocate(own, supplies), allocate(own, expired));
    };
    return [...groupBy(lines, ({ productId }) => productId)].filter(isDisplaced).map(([productId]) => productId);
  }

  /** Takes away what a draft of this shelf holds, so that the next one finds less. */
  take({ items }: HoldDraft): void {
    for (const { productId, warehouseId, quantity } of items) {
      this.supplies.get(productId)!.find((supply) => supply.warehouseId === warehouseId)!.available -= quantity;
    }
  }
}

/** The one order in which items are shown, whoever asks. */
function byLevel(left: Allotment, right: Allotment): number {
  return compare(left.productId, right.productId) || compare(left.warehouseId, right.warehouseId);
}

function compare(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
