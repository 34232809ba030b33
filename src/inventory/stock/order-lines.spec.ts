import { NotFound, ValidationFailed } from '../../platform/errors/domain-errors';
import { Product } from '../products/product.entity';
import { Warehouse } from '../warehouses/warehouse.entity';
import { assertWarehouses, currencyOf, type Line } from './order-lines';

const line = (productId: string, index: number, warehouseId?: string): Line => ({
  productId,
  warehouseId,
  quantity: 1,
  prefix: `items.${index}.`,
});

function products(...rows: [id: string, currency: string, isActive?: boolean][]): Map<string, Product> {
  return new Map(
    rows.map(([id, currency, isActive = true]) => [id, Object.assign(new Product(), { id, currency, isActive })]),
  );
}

function thrownBy(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

describe('currencyOf', () => {
  it('is the one currency of all the lines', () => {
    expect(currencyOf([line('a', 0), line('b', 1), line('a', 2)], products(['a', 'EUR'], ['b', 'EUR']))).toBe('EUR');
  });

  it('names the first line that is sold in another one', () => {
    const act = (): string =>
      currencyOf([line('a', 0), line('b', 1), line('c', 2)], products(['a', 'EUR'], ['b', 'USD'], ['c', 'CHF']));
    const error = thrownBy(act);
    expect(error).toBeInstanceOf(ValidationFailed);
    expect((error as ValidationFailed).members.errors).toEqual([
      expect.objectContaining({ field: 'items.1.product_id' }),
    ]);
  });

  it.each([
    ['unknown', products(['a', 'EUR'])],
    ['not active', products(['a', 'EUR'], ['b', 'EUR', false])],
  ])('does not find a product that is %s', (_, known) => {
    expect(thrownBy(() => currencyOf([line('a', 0), line('b', 1)], known))).toBeInstanceOf(NotFound);
  });
});

describe('assertWarehouses', () => {
  const warehouses = new Map(
    [true, false].map((isActive) => [String(isActive), Object.assign(new Warehouse(), { isActive })]),
  );

  it('lets lines through that name an active warehouse or none', () => {
    expect(() => assertWarehouses([line('a', 0), line('b', 1, 'true')], warehouses)).not.toThrow();
  });

  it('does not find one that is unknown', () => {
    expect(thrownBy(() => assertWarehouses([line('a', 0, 'nowhere')], warehouses))).toBeInstanceOf(NotFound);
  });

  it('names the field of one that is not active', () => {
    const error = thrownBy(() => assertWarehouses([line('a', 0), line('b', 1, 'false')], warehouses));
    expect((error as ValidationFailed).members.errors).toEqual([
      expect.objectContaining({ field: 'items.1.warehouse_id' }),
    ]);
  });
});
