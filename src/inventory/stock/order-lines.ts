import { NotFound, ValidationFailed } from '../../platform/errors/domain-errors';
import type { Demand } from './allocation';

/** One line as it was asked for, and how the request calls it, so that an error can name its fields. */
export interface Line extends Demand {
  /** `items.3.`, or nothing for the line that the body itself spells out. */
  readonly prefix: string;
}

/** What there is to know of a product that is to be reserved. */
export interface ProductOnSale {
  readonly id: string;
  readonly sku: string;
  readonly name: string;
  readonly price: string;
  readonly currency: string;
  readonly isActive: boolean;
}

/** A warehouse, and whether it serves anybody. */
export interface Source {
  readonly id: string;
  readonly isActive: boolean;
}

/** What is on sale, and from where. */
export interface Catalogue {
  readonly products: ReadonlyMap<string, ProductOnSale>;
  /** In the order of preference. */
  readonly warehouses: ReadonlyMap<string, Source>;
}

/**
 * The one currency in which all the lines are sold.
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
