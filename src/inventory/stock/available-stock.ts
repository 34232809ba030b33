import { isDeepStrictEqual } from 'node:util';
import { InsufficientStock } from '../../platform/errors/domain-errors';
import { groupBy } from '../../platform/group-by';
import { sumOfLines } from '../../platform/money';
import { allocate, type Allotment, type Supply } from './allocation';
import { assertWarehouses, type Catalogue, currencyOf, type Line } from './order-lines';
import { levelAfter, type StockMoved } from './stock-move';
import type { StockLevel } from './stock.entity';
import { keyOf, type LevelKey } from './stock.locks';

/** The pieces that one level gives, at the current price. */
export interface PricedItem extends Allotment {
  readonly sku: string;
  readonly name: string;
  readonly unitPrice: string;
}

/** What a request would get: from which levels, and at what price. */
export interface Quote {
  readonly items: PricedItem[];
  readonly currency: string;
  readonly totalAmount: string;
}

/** The catalogue and the stock of one moment. */
export class AvailableStock {
  private readonly levels: ReadonlyMap<string, StockLevel>;
  /** The levels in active warehouses, by product, in the order of preference. */
  private readonly supplies: ReadonlyMap<string, StockLevel[]>;

  constructor(
    private readonly catalogue: Catalogue,
    levels: readonly StockLevel[],
    /** The most pieces of each level that overdue holds may still have, by the key of the level. */
    private readonly overdue: ReadonlyMap<string, number> = new Map(),
  ) {
    const own = levels.map((level) => ({ ...level }));
    this.levels = new Map(own.map((level) => [keyOf(level), level]));
    const active = [...catalogue.warehouses.values()].filter((warehouse) => warehouse.isActive);
    const rank = new Map(active.map(({ id }, index) => [id, index]));
    const inOrder = own
      .filter(({ warehouseId }) => rank.has(warehouseId))
      .sort((left, right) => rank.get(left.warehouseId)! - rank.get(right.warehouseId)!);
    this.supplies = groupBy(inOrder, (level) => level.productId);
  }

  /**
   * What these lines would get: all or none. Does not change the stock.
   * @throws NotFound, ValidationFailed, InsufficientStock with every short line
   */
  quote(lines: readonly Line[]): Quote {
    const { products } = this.catalogue;
    const items = this.allot(lines).map((allotment) => {
      const { sku, name, price: unitPrice } = products.get(allotment.productId)!;
      return { ...allotment, sku, name, unitPrice };
    });
    return { items: items.sort(byLevel), currency: currencyOf(lines, products), totalAmount: sumOfLines(items) };
  }

  /** Where the pieces of these lines would come from. @throws as `quote` */
  allot(lines: readonly Line[]): Allotment[] {
    this.assertOnSale(lines);
    const { allotments, shortages } = allocate(lines, this.suppliesFor(lines));
    if (shortages.length > 0) {
      throw new InsufficientStock(shortages);
    }
    return allotments;
  }

  /**
   * The products whose overdue holds must be expired before these lines are decided: those that are short, or, if none
   * is, those that would then come from other warehouses.
   * @throws NotFound, ValidationFailed
   */
  heldUpByOverdue(lines: readonly Line[]): string[] {
    if (!this.hasOverdue) {
      return [];
    }
    this.assertOnSale(lines);
    const { allotments, shortages } = allocate(lines, this.suppliesFor(lines));
    if (shortages.length > 0) {
      const short = new Set(shortages.map((shortage) => shortage.product_id));
      return [...short].filter((productId) => this.hasOverdueOf(productId));
    }
    const later = allocate(lines, this.suppliesFor(lines, this.overdue)).allotments;
    const products = new Set(lines.map(({ productId }) => productId));
    const of = (productId: string, all: Allotment[]): Allotment[] => all.filter((one) => one.productId === productId);
    return [...products].filter((id) => !isDeepStrictEqual(of(id, allotments), of(id, later)));
  }

  get hasOverdue(): boolean {
    return this.overdue.size > 0;
  }

  /** The same stock without overdue holds. */
  withoutOverdue(): AvailableStock {
    return new AvailableStock(this.catalogue, [...this.levels.values()]);
  }

  /** The same stock with these levels instead of the current ones. */
  withLevels(levels: readonly StockLevel[]): AvailableStock {
    return new AvailableStock(this.catalogue, levels, this.overdue);
  }

  /** The level of a product in a warehouse; undefined if there is none. */
  level(key: LevelKey): StockLevel | undefined {
    return this.levels.get(keyOf(key));
  }

  levelsOf(productIds: readonly string[]): StockLevel[] {
    return [...this.levels.values()].filter(({ productId }) => productIds.includes(productId));
  }

  /** Applies a move, so that later decisions see the new level. */
  apply(moved: StockMoved): void {
    Object.assign(this.levels.get(keyOf(moved))!, levelAfter(moved));
  }

  private assertOnSale(lines: readonly Line[]): void {
    currencyOf(lines, this.catalogue.products);
    assertWarehouses(lines, this.catalogue.warehouses);
  }

  private suppliesFor(lines: readonly Line[], more?: ReadonlyMap<string, number>): Supply[] {
    const products = new Set(lines.map(({ productId }) => productId));
    const supplies = [...products].flatMap((id) => this.supplies.get(id) ?? []);
    return more
      ? supplies.map((level) => ({ ...level, available: level.available + (more.get(keyOf(level)) ?? 0) }))
      : supplies;
  }

  private hasOverdueOf(productId: string): boolean {
    return [...this.levels.values()].some((level) => level.productId === productId && this.overdue.has(keyOf(level)));
  }
}

/** The order in which items are always shown. */
function byLevel(left: Allotment, right: Allotment): number {
  return compare(left.productId, right.productId) || compare(left.warehouseId, right.warehouseId);
}

function compare(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
