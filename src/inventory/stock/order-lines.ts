import { NotFound, ValidationFailed } from '../../platform/errors/domain-errors';
import type { Demand } from './allocation';

/** One requested line, with its path in the request, so that an error can name its fields. */
export interface Line extends Demand {
  /** `items.3.`, or empty for the line in the body itself. */
  readonly prefix: string;
}

/** What reserving needs to know of a product. */
export interface ProductOnSale {
  readonly id: string;
  readonly sku: string;
  readonly name: string;
  readonly price: string;
  readonly currency: string;
  readonly isActive: boolean;
}

/** A warehouse, and whether it is active. */
export interface Source {
  readonly id: string;
  readonly isActive: boolean;
}

/** The products on sale, and the warehouses. */
export interface Catalogue {
  readonly products: ReadonlyMap<string, ProductOnSale>;
  /** In the order of preference. */
  readonly warehouses: ReadonlyMap<string, Source>;
}

/**
 * The currency that all lines share.
 * @throws NotFound for a product that is unknown or not active, ValidationFailed if there are two currencies
 */
export function currencyOf(lines: readonly Line[], products: ReadonlyMap<string, ProductOnSale>): string {
  const currencies = lines.map(({ productId }) => {
    const product = products.get(productId);
    if (!product?.isActive) {
      throw new NotFound('product', productId);
    }
    return product.currency;
  });
  const [currency] = currencies;
  const other = currencies.findIndex((code) => code !== currency);
  if (other !== -1) {
    const field = `${lines[other]!.prefix}product_id`;
    throw new ValidationFailed({
      field,
      message: `${field} is sold in ${currencies[other]}, the lines before it in ${currency}`,
    });
  }
  return currency!;
}

/** @throws NotFound for a named warehouse that is unknown, ValidationFailed for one that is not active */
export function assertWarehouses(lines: readonly Line[], warehouses: ReadonlyMap<string, Source>): void {
  for (const { warehouseId, prefix } of lines) {
    if (warehouseId === undefined) {
      continue;
    }
    const warehouse = warehouses.get(warehouseId);
    if (!warehouse) {
      throw new NotFound('warehouse', warehouseId);
    }
    if (!warehouse.isActive) {
      const field = `${prefix}warehouse_id`;
      throw new ValidationFailed({ field, message: `${field} names a warehouse that is not active` });
    }
  }
}
