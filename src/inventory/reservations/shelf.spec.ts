import { InsufficientStock, NotFound, ValidationFailed } from '../../platform/errors/domain-errors';
import type { Supply } from './allocation';
import type { Line } from './reservation-lines';
import { type Assortment, Shelf } from './shelf';

const MUG = { id: 'mug', sku: 'MUG', name: 'Blue mug', price: '19.90', currency: 'EUR', isActive: true };
const PEN = { ...MUG, id: 'pen', sku: 'PEN', name: 'Pen', price: '0.10' };
const HAT = { ...MUG, id: 'hat', sku: 'HAT', name: 'Hat', currency: 'USD' };
const OLD = { ...MUG, id: 'old', sku: 'OLD', name: 'Old mug', isActive: false };

/** In the order of preference: `near` before `far`, and `shut` serves nobody. */
const ASSORTMENT: Assortment = {
  products: new Map([MUG, PEN, HAT, OLD].map((product) => [product.id, product])),
  warehouses: new Map(['shut', 'near', 'far'].map((id) => [id, { id, isActive: id !== 'shut' }])),
};

const at = (warehouseId: string, available: number, productId = 'mug'): Supply => ({
  ...{ productId, warehouseId, available },
});
const wants = (quantity: number, productId = 'mug', warehouseId?: string): Line => ({
  ...{ productId, warehouseId, quantity, prefix: 'items.0.' },
});
const shelfOf = (...levels: Supply[]): Shelf => new Shelf(ASSORTMENT, levels);

describe('A shelf', () => {
  it('drafts a hold at the price of the moment, its items in one order whoever asks', () => {
    const levels = [at('near', 9, 'pen'), at('near', 2), at('far', 2)];
    const draft = shelfOf(...levels).draft([wants(3, 'pen'), wants(3)]);
    expect(draft).toEqual({
      items: [
        { productId: 'mug', warehouseId: 'far', quantity: 1, sku: 'MUG', name: 'Blue mug', unitPrice: '19.90' },
        { productId: 'mug', warehouseId: 'near', quantity: 2, sku: 'MUG', name: 'Blue mug', unitPrice: '19.90' },
        { productId: 'pen', warehouseId: 'near', quantity: 3, sku: 'PEN', name: 'Pen', unitPrice: '0.10' },
      ],
      currency: 'EUR',
      totalAmount: '60.00',
    });
    expect(shelfOf(...levels.reverse()).draft([wants(3), wants(3, 'pen')])).toEqual(draft);
  });

  it('takes from the warehouses in their order, however the levels lie, and never from one that is not active', () => {
    const { items } = shelfOf(at('far', 5), at('shut', 5), at('near', 5)).draft([wants(5)]);
    expect(items).toEqual([expect.objectContaining({ warehouseId: 'near', quantity: 5 })]);
  });

  it('does not count what lies in a warehouse that is not active', () => {
    const act = (): object => shelfOf(at('shut', 5), at('far', 2)).draft([wants(3)]);
    expect(act).toThrow(new InsufficientStock([{ product_id: 'mug', requested: 3, available: 2 }]));
  });

  it('takes nothing by drafting, and what is taken is gone for those who come after', () => {
    const shelf = shelfOf(at('near', 3), at('far', 2));
    const first = shelf.draft([wants(3)]);
    expect(shelf.draft([wants(3)])).toEqual(first);
    shelf.take(first);
    expect(shelf.draft([wants(2)]).items).toEqual([expect.objectContaining({ warehouseId: 'far', quantity: 2 })]);
    expect(() => shelf.draft([wants(3)])).toThrow(
      new InsufficientStock([{ product_id: 'mug', requested: 3, available: 2 }]),
    );
  });

  it('takes what a draft has split from each of its warehouses, and leaves other products alone', () => {
    const shelf = shelfOf(at('near', 3), at('far', 2), at('near', 1, 'pen'));
    shelf.take(shelf.draft([wants(4)]));
    expect(shelf.draft([wants(1), wants(1, 'pen')]).items).toEqual([
      expect.objectContaining({ productId: 'mug', warehouseId: 'far' }),
      expect.objectContaining({ productId: 'pen', warehouseId: 'near' }),
    ]);
    const missing = { product_id: 'mug', warehouse_id: 'far', requested: 2, available: 1 };
    expect(() => shelf.draft([wants(2, 'mug', 'far')])).toThrow(new InsufficientStock([missing]));
  });

  describe('tells which products might come from elsewhere if overdue holds were expired', () => {
    const overdueAt = (warehouseId: string, available: number, overdueAtMost: number): object => ({
      ...at(warehouseId, available),
      overdueAtMost,
    });
    const displaced = (levels: object[], ...lines: Line[]): string[] =>
      shelfOf(...(levels as Supply[]), at('near', 9, 'pen')).displaced(lines);

    it('where a warehouse before the one that serves it would have enough', () => {
      const levels = [overdueAt('near', 2, 1), overdueAt('far', 9, 0)];
      expect([1, 2, 3, 4].map((quantity) => displaced(levels, wants(quantity)))).toEqual([[], [], ['mug'], []]);
    });

    it('where it is split, and could be in another way or not at all', () => {
      expect(displaced([overdueAt('near', 2, 1), overdueAt('far', 2, 0)], wants(4))).toEqual(['mug']);
      expect(displaced([overdueAt('near', 2, 0), overdueAt('far', 2, 2)], wants(3))).toEqual(['mug']);
      expect(displaced([overdueAt('near', 2, 0), overdueAt('far', 2, 1)], wants(4))).toEqual([]);
    });

    it('by all lines of a product together, and each product by itself', () => {
      const levels = [overdueAt('near', 2, 1), overdueAt('far', 9, 0)];
      expect(displaced(levels, wants(1), wants(5, 'pen'), wants(2))).toEqual(['mug']);
      expect(displaced(levels, wants(1, 'mug', 'near'), wants(1))).toEqual([]);
    });

    it('on what others have left', () => {
      const shelf = shelfOf(overdueAt('near', 2, 1) as Supply, at('far', 9));
      shelf.take(shelf.draft([wants(1)]));
      expect([1, 2, 3].map((quantity) => shelf.displaced([wants(quantity)]))).toEqual([[], ['mug'], []]);
    });

    it('never where a warehouse would have to serve that is not active', () => {
      expect(displaced([overdueAt('shut', 0, 9), overdueAt('near', 1, 0), overdueAt('far', 3, 0)], wants(2))).toEqual(
        [],
      );
    });
  });

  it('leaves the levels that it was made of as they are', () => {
    const level = at('near', 3);
    const shelf = shelfOf(level);
    shelf.take(shelf.draft([wants(3)]));
    expect(level.available).toBe(3);
  });

  it('names every line that is short, a product that lies nowhere among them', () => {
    const act = (): object => shelfOf(at('near', 1)).draft([wants(2), wants(4, 'pen')]);
    expect(act).toThrow(
      new InsufficientStock([
        { product_id: 'mug', requested: 2, available: 1 },
        { product_id: 'pen', requested: 4, available: 0 },
      ]),
    );
  });

  it.each([
    ['an unknown product', [wants(1, 'nothing')], NotFound],
    ['a product that is not active', [wants(1, 'old')], NotFound],
    ['an unknown warehouse', [wants(1, 'mug', 'nowhere')], NotFound],
    ['a warehouse that is not active', [wants(1, 'mug', 'shut')], ValidationFailed],
    ['two currencies', [wants(1), wants(1, 'hat')], ValidationFailed],
  ])('refuses %s before it looks whether there is enough', (_, lines, kind) => {
    expect(() => shelfOf().draft(lines)).toThrow(kind);
  });
});
