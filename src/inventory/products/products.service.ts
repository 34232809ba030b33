import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { AuditService } from '../../audit/audit.service';
import { orDuplicate } from '../../platform/database/duplicates';
import { estimateRows } from '../../platform/database/estimate';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { Forbidden, NotFound } from '../../platform/errors/domain-errors';
import { Answer } from '../../platform/http/answer';
import { Keyset, type Position } from '../../platform/http/cursor';
import { assertVersion } from '../../platform/http/if-match';
import type { Page } from '../../platform/http/page';
import { changesIn } from '../../platform/http/patch';
import { IdempotencyService } from '../../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { fromCents, toCents } from '../../platform/money';
import { isAdmin, type UserActor } from '../../platform/security/actor';
import { StockLedger } from '../stock/stock-ledger';
import { levelAfter, moveStock } from '../stock/stock-move';
import { toStockLevelResponse } from '../stock/stock.dto';
import { StockLevel } from '../stock/stock.entity';
import type { LevelKey } from '../stock/stock.locks';
import { MAIN_WAREHOUSE_ID, Warehouse } from '../warehouses/warehouse.entity';
import { Product } from './product.entity';
import { lockProduct } from './product.locks';
import {
  type CreateProductBody,
  DEFAULT_CURRENCY,
  type ProductDetailResponse,
  type ProductResponse,
  type ProductsQuery,
  toProductDetailResponse,
  toProductResponse,
  toProductSnapshot,
  type UpdateProductBody,
} from './products.dto';
import { findProducts, selectProducts } from './product-list.query';
import { findLevels, findStockSums } from './products.query';

@Injectable()
export class ProductsService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly idempotency: IdempotencyService,
    private readonly ledger: StockLedger,
    private readonly audit: AuditService,
  ) {}

  /** Lists newest first. @throws InvalidCursor; Forbidden if a non-admin asks for the inactive */
  async list({ cursor, limit, count, ...filters }: ProductsQuery, caller?: UserActor): Promise<Page<ProductResponse>> {
    if (filters.include_inactive && !isAdmin(caller)) {
      throw new Forbidden('include_inactive is for the role admin');
    }
    const keyset = new Keyset('products', filters);
    const after = keyset.positionOf(cursor);
    return this.transactions.read(async (manager) => {
      const estimate = count && (await estimateRows(manager, selectProducts({ ...filters, limit })));
      const products = await findProducts(manager, { ...filters, limit }, after);
      const sums = await findStockSums(
        manager,
        products.map(({ id }) => id),
      );
      const at = ({ createdAt, id }: Product): Position => ({ value: createdAt.toISOString(), id });
      const page = keyset.page(products, limit, at, (product) => toProductResponse(product, sums.get(product.id)!));
      return page.withEstimate(estimate, cursor);
    });
  }

  /** @throws NotFound, also for a product that is not active, unless an admin asks */
  async get(id: string, caller?: UserActor): Promise<Answer<ProductDetailResponse>> {
    return this.transactions.read(async (manager) => {
      const product = await manager.findOneBy(Product, { id });
      if (!product || !(product.isActive || isAdmin(caller))) {
        throw new NotFound('product', id);
      }
      return answer(product, await findLevels(manager, id));
    });
  }

  /** Makes a product, its level and the first row of its ledger. @throws Duplicate for the sku, NotFound for the warehouse */
  async create(body: CreateProductBody, request: IdempotentRequest): Promise<Answer<ProductDetailResponse>> {
    const warehouseId = body.warehouse_id?.toLowerCase() ?? MAIN_WAREHOUSE_ID;
    return this.idempotency.run(request, async (unit) => {
      const warehouse = await unit.tx.findOneBy(Warehouse, { id: warehouseId });
      if (!warehouse) {
        throw new NotFound('warehouse', warehouseId);
      }
      const product = await insertProduct(unit, body);
      const level = await this.stockUp(unit, { productId: product.id, warehouseId }, body.initial_stock ?? 0);
      this.audit.record(unit, {
        action: 'product.created',
        objectId: product.id,
        newValue: { ...toProductSnapshot(product), initial_stock: level.available, warehouse_id: warehouseId },
      });
      const { product_id: _, ...stock } = toStockLevelResponse(level);
      return answer(product, [{ ...stock, warehouse_code: warehouse.code }], `/api/products/${product.id}`);
    });
  }

  /** Changes only the given fields. Locks the product. @throws NotFound, VersionMismatch */
  async update(
    id: string,
    body: UpdateProductBody,
    ifMatch: string | undefined,
  ): Promise<Answer<ProductDetailResponse>> {
    const { name, description, is_active: isActive, low_stock_threshold: lowStockThreshold } = body;
    const price = body.price === undefined ? undefined : fromCents(toCents(body.price));
    const changes = changesIn({ name, description, price, isActive, lowStockThreshold });
    return this.transactions.run(async (unit) => {
      const { tx } = unit;
      const before = await lockProduct(tx, id);
      if (!before) {
        throw new NotFound('product', id);
      }
      assertVersion(ifMatch, before.version);
      await tx.update(
        Product,
        { id },
        { ...changes, version: before.version + 1, updatedAt: () => 'clock_timestamp()' },
      );
      const after = await tx.findOneByOrFail(Product, { id });
      this.audit.record(unit, {
        action: 'product.updated',
        objectId: id,
        oldValue: toProductSnapshot(before),
        newValue: toProductSnapshot(after),
      });
      return answer(after, await findLevels(tx, id));
    });
  }

  private async stockUp(unit: UnitOfWork, key: LevelKey, quantity: number): Promise<StockLevel> {
    const empty = { ...key, available: 0, reserved: 0, total: 0 };
    await unit.tx.insert(StockLevel, empty);
    if (quantity === 0) {
      return empty;
    }
    const moved = moveStock(empty, { kind: 'initial', available: quantity, reserved: 0 });
    this.ledger.write(unit, [moved]);
    return levelAfter(moved);
  }
}

async function insertProduct({ tx }: UnitOfWork, body: CreateProductBody): Promise<Product> {
  const { sku, name, description, price, currency = DEFAULT_CURRENCY, low_stock_threshold: lowStockThreshold } = body;
  const id = uuidv7();
  await tx
    .insert(Product, { id, sku, name, description: description ?? null, price, currency, lowStockThreshold })
    .catch(orDuplicate('products_sku_unique', 'sku'));
  return tx.findOneByOrFail(Product, { id });
}

function answer(
  product: Product,
  levels: ProductDetailResponse['stock_levels'],
  location?: string,
): Answer<ProductDetailResponse> {
  return new Answer(toProductDetailResponse(product, levels), { version: product.version, location });
}
