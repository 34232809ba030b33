import { InsufficientStock, NotFound, ValidationFailed } from '../../platform/errors/domain-errors';
import { AvailableStock } from './available-stock';
import type { Catalogue, Line } from './order-lines';
import { moveStock } from './stock-move';
import type { StockLevel } from './stock.entity';
import { keyOf } from './stock.locks';

const MUG = { id: 'mug', sku: 'MUG', name: 'Blue mug', price: '19.90', currency: 'EUR', isActive: true };
const PEN = { ...MUG, id: 'pen', sku: 'PEN', name: 'Pen', price: '0.10' };
const HAT = { ...MUG, id: 'hat', sku: 'HAT', name: 'Hat', currency: 'USD' };
const OLD = { ...MUG, id: 'old', sku: 'OLD', name: 'Old mug', isActive: false };

/** In the order of preference: `near` before `far`; `shut` is inactive. */
const CATALOGUE: Catalogue = {
  products: new Map([MUG, PEN, HAT, OLD].map((product) => [product.id, product])),
  warehouses: new Map(['shut', 'near', 'far'].map((id) => [id, { id, isActive: id !== 'shut' }])),
};

const at = (warehouseId: string, available: number, productId = 'mug', reserved = 0): StockLevel => ({
  ...{ productId, warehouseId, available, reserved, total: available + reserved },
});
const wants = (quantity: number, productId = 'mug', warehouseId?: string): Line => ({
  ...{ productId, warehouseId, quantity, prefix: 'items.0.' },
});
const stockOf = (...levels: StockLevel[]): AvailableStock => new AvailableStock(CATALOGUE, levels);

/** Applies the moves of a request to the stock. */
function take(stock: AvailableStock, lines: Line[]): void {
  for (const item of stock.quote(lines).items) {
    const move = { kind: 'reserve', available: -item.quantity, reserved: item.quantity } as const;
    stock.apply(moveStock(stock.level(item)!, move));
  }
}

describe('Available stock', () => {
  it('quotes what lines get at the price of the moment, its items in one order whoever asks', () => {
    const levels = [at('near', 9, 'pen'), at('near', 2), at('far', 2)];
    const quote = stockOf(...levels).quote([wants(3, 'pen'), wants(3)]);
    expect(quote).toEqual({
      items: [
        { productId: 'mug', warehouseId: 'far', quantity: 1, sku: 'MUG', name: 'Blue mug', unitPrice: '19.90' },
        { productId: 'mug', warehouseId: 'near', quantity: 2, sku: 'MUG', name: 'Blue mug', unitPrice: '19.90' },
        { productId: 'pen', warehouseId: 'near', quantity: 3, sku: 'PEN', name: 'Pen', unitPrice: '0.10' },
      ],
      currency: 'EUR',
      totalAmount: '60.00',
    });
    expect(stockOf(...levels.reverse()).quote([wants(3), wants(3, 'pen')])).toEqual(quote);
  });

  it('takes from the warehouses in their order, however the levels lie, and never from one that is not active', () => {
    const { items } = stockOf(at('far', 5), at('shut', 5), at('near', 5)).quote([wants(5)]);
    expect(items).toEqual([expect.objectContaining({ warehouseId: 'near', quantity: 5 })]);
  });

  it('does not count what lies in a warehouse that is not active', () => {
    const act = (): object => stockOf(at('shut', 5), at('far', 2)).quote([wants(3)]);
    expect(act).toThrow(new InsufficientStock([{ product_id: 'mug', requested: 3, available: 2 }]));
  });

  it('takes nothing by quoting, and what is taken is gone for those who come after', () => {
    const stock = stockOf(at('near', 3), at('far', 2));
    const first = stock.quote([wants(3)]);
    expect(stock.quote([wants(3)])).toEqual(first);
    take(stock, [wants(3)]);
    expect(stock.quote([wants(2)]).items).toEqual([expect.objectContaining({ warehouseId: 'far', quantity: 2 })]);
    expect(() => stock.quote([wants(3)])).toThrow(
      new InsufficientStock([{ product_id: 'mug', requested: 3, available: 2 }]),
    );
  });

  it('takes what a quote has split from each of its warehouses, and leaves other products alone', () => {
    const stock = stockOf(at('near', 3), at('far', 2), at('near', 1, 'pen'));
    take(stock, [wants(4)]);
    expect(stock.quote([wants(1), wants(1, 'pen')]).items).toEqual([
      expect.objectContaining({ productId: 'mug', warehouseId: 'far' }),
      expect.objectContaining({ productId: 'pen', warehouseId: 'near' }),
    ]);
    const missing = { product_id: 'mug', warehouse_id: 'far', requested: 2, available: 1 };
    expect(() => stock.quote([wants(2, 'mug', 'far')])).toThrow(new InsufficientStock([missing]));
  });

  it('leaves the levels that it was made of as they are', () => {
    const level = at('near', 3);
    const stock = stockOf(level);
    take(stock, [wants(3)]);
    expect(level.available).toBe(3);
  });

  it('names every line that is short, a product that lies nowhere among them', () => {
    const act = (): object => stockOf(at('near', 1)).quote([wants(2), wants(4, 'pen')]);
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
    expect(() => stockOf().quote(lines)).toThrow(kind);
  });

  describe('of which overdue holds have some', () => {
    const NEAR = at('near', 0, 'mug', 4);
    const withOverdue = (pieces: number, ...levels: StockLevel[]): AvailableStock =>
      new AvailableStock(CATALOGUE, levels, new Map([[keyOf(NEAR), pieces]]));

    it.each([
      ['would be served from another warehouse', [wants(4)], [NEAR, at('far', 9)], ['mug']],
      ['would be split', [wants(4)], [NEAR, at('far', 3)], ['mug']],
      ['would be short of less', [wants(20)], [NEAR, at('far', 9)], ['mug']],
      ['name another warehouse', [wants(4, 'mug', 'far')], [NEAR, at('far', 9)], []],
      ['are of another product', [wants(4, 'pen')], [NEAR, at('far', 9, 'pen')], []],
      ['are served whole from there as it is', [wants(4)], [{ ...NEAR, available: 4 }, at('far', 9)], []],
    ])('is held up for lines that %s', (_, lines, levels, products) => {
      expect(withOverdue(4, ...levels).heldUpByOverdue(lines)).toEqual(products);
    });

    it('is held up for nobody any more when they are not to count', () => {
      const stock = withOverdue(4, NEAR, at('far', 9));
      expect(stock.withoutOverdue().heldUpByOverdue([wants(4)])).toEqual([]);
      expect(stock.withLevels([NEAR, at('far', 9)]).heldUpByOverdue([wants(4)])).toEqual(['mug']);
    });
  });
});
