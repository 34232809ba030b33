import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { AuditService } from '../../audit/audit.service';
import { estimateRows } from '../../platform/database/estimate';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { NotFound, ValidationFailed } from '../../platform/errors/domain-errors';
import { Answer } from '../../platform/http/answer';
import { Keyset, type Position } from '../../platform/http/cursor';
import type { Page, PageQuery } from '../../platform/http/page';
import { IdempotencyService } from '../../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Product } from '../products/product.entity';
import { ReservationExpiry } from '../reservations/reservation-expiry';
import { shortfallTx } from '../reservations/overdue';
import { MAIN_WAREHOUSE_ID, Warehouse } from '../warehouses/warehouse.entity';
import { StockLedger } from './stock-ledger';
import {
  type AdjustStockBody,
  MAX_STOCK,
  type StockLevelResponse,
  type StockMovementResponse,
  toStockLevelResponse,
  toStockMovementResponse,
  type TransferResponse,
  type TransferStockBody,
} from './stock.dto';
import { StockLevel, StockMovement } from './stock.entity';
import { movementsQuery, selectMovements } from './stock-movements.query';
import { type LevelKey, lockLevels } from './stock.locks';

@Injectable()
export class StockService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly idempotency: IdempotencyService,
    private readonly ledger: StockLedger,
    private readonly audit: AuditService,
    private readonly expiry: ReservationExpiry,
  ) {}

  /**
   * Adds pieces to a level or takes available ones away; what is reserved stays reserved, unless its hold is over.
   * Locks the level.
   * @throws NotFound for the product or warehouse, InsufficientStock if available would fall below 0
   */
  async adjust(
    productId: string,
    body: AdjustStockBody,
    request: IdempotentRequest,
  ): Promise<Answer<StockLevelResponse>> {
    const key = { productId, warehouseId: body.warehouse_id?.toLowerCase() ?? MAIN_WAREHOUSE_ID };
    return this.reclaiming(request, async (tx) => {
      await assertProductTx(tx, productId);
      const [level] = await this.lockOrMakeLevelsTx(tx, [key]);
      await assertFitsTx(tx, level!, body.delta, 'delta');
      const before = summaryOf(level!);
      await this.ledger.postTx(
        tx,
        [level!],
        [{ ...key, kind: 'adjustment', available: body.delta, reserved: 0, reason: body.reason }],
      );
      await this.audit.recordTx(tx, {
        action: 'stock.adjusted',
        objectId: productId,
        oldValue: before,
        newValue: { ...summaryOf(level!), delta: body.delta, reason: body.reason },
      });
      return new Answer(toStockLevelResponse(level!));
    });
  }

  /**
   * Moves available pieces from one warehouse to another. Locks both levels.
   * @throws NotFound for the product or a warehouse, InsufficientStock if the first has fewer available
   */
  async transfer(body: TransferStockBody, request: IdempotentRequest): Promise<Answer<TransferResponse>> {
    const { quantity, reason } = body;
    const productId = body.product_id.toLowerCase();
    const from = { productId, warehouseId: body.from_warehouse_id.toLowerCase() };
    const to = { productId, warehouseId: body.to_warehouse_id.toLowerCase() };
    if (from.warehouseId === to.warehouseId) {
      throw new ValidationFailed({
        field: 'to_warehouse_id',
        message: 'to_warehouse_id must be another warehouse than from_warehouse_id',
      });
    }
    return this.reclaiming(request, async (tx) => {
      await assertProductTx(tx, productId);
      const levels = await this.lockOrMakeLevelsTx(tx, [from, to]);
      const [source, target] = [levelAt(levels, from), levelAt(levels, to)];
      await assertFitsTx(tx, source, -quantity, 'quantity');
      await assertFitsTx(tx, target, quantity, 'quantity');
      await this.ledger.postTx(tx, levels, [
        { ...from, kind: 'transfer_out', available: -quantity, reserved: 0, reason },
        { ...to, kind: 'transfer_in', available: quantity, reserved: 0, reason },
      ]);
      return this.transferredTx(tx, body, source, target);
    });
  }

  /** Lists the ledger of one product, newest first. @throws NotFound, InvalidCursor */
  async movements(productId: string, { limit, cursor, count }: PageQuery): Promise<Page<StockMovementResponse>> {
    const keyset = new Keyset('stock-movements', { productId });
    const after = keyset.positionOf(cursor);
    return this.transactions.read(async (manager) => {
      if (!(await manager.existsBy(Product, { id: productId }))) {
        throw new NotFound('product', productId);
      }
      const estimate = count && (await estimateRows(manager, selectMovements(productId)));
      const rows = await movementsQuery(manager, productId, limit + 1, after).getMany();
      const at = (row: StockMovement): Position => ({ value: row.createdAt.toISOString(), id: row.id });
      return keyset.page(rows, limit, at, toStockMovementResponse).withEstimate(estimate, cursor);
    });
  }

  private reclaiming<T extends object>(
    request: IdempotentRequest,
    work: (tx: Tx) => Promise<Answer<T>>,
  ): Promise<Answer<T>> {
    return this.expiry.reclaiming(() => this.idempotency.run(request, work));
  }

  private async lockOrMakeLevelsTx(tx: Tx, keys: LevelKey[]): Promise<StockLevel[]> {
    for (const { warehouseId } of keys) {
      if (!(await tx.existsBy(Warehouse, { id: warehouseId }))) {
        throw new NotFound('warehouse', warehouseId);
      }
    }
    // In the order of the locks: two transactions that make the same rows must not wait for each other either.
    const sorted = [...keys].sort((left, right) => (left.warehouseId < right.warehouseId ? -1 : 1));
    await tx.createQueryBuilder().insert().into(StockLevel).values(sorted).orIgnore().updateEntity(false).execute();
    return (await lockLevels(tx, sorted)).levels;
  }

  private async transferredTx(
    tx: Tx,
    body: TransferStockBody,
    source: StockLevel,
    target: StockLevel,
  ): Promise<Answer<TransferResponse>> {
    const id = uuidv7();
    const { productId: product_id, warehouseId: from_warehouse_id } = source;
    const { warehouseId: to_warehouse_id } = target;
    const { quantity, reason = null } = body;
    await this.audit.recordTx(tx, {
      action: 'stock.transferred',
      objectId: product_id,
      newValue: { transfer_id: id, from_warehouse_id, to_warehouse_id, quantity, reason },
    });
    const levels = { from: toStockLevelResponse(source), to: toStockLevelResponse(target) };
    return new Answer({ id, product_id, from_warehouse_id, to_warehouse_id, quantity, reason, ...levels });
  }
}

async function assertProductTx(tx: Tx, productId: string): Promise<void> {
  if (!(await tx.existsBy(Product, { id: productId }))) {
    throw new NotFound('product', productId);
  }
}

function levelAt(levels: StockLevel[], { warehouseId }: LevelKey): StockLevel {
  return levels.find((level) => level.warehouseId === warehouseId)!;
}

async function assertFitsTx(tx: Tx, level: StockLevel, delta: number, field: string): Promise<void> {
  if (level.available + delta < 0) {
    const { productId: product_id, warehouseId: warehouse_id, available } = level;
    throw await shortfallTx(tx, [{ product_id, warehouse_id, requested: -delta, available }]);
  }
  if (delta > 0 && level.total + delta > MAX_STOCK) {
    throw new ValidationFailed({ field, message: `${field} would bring the level above ${MAX_STOCK}` });
  }
}

function summaryOf(level: StockLevel): { warehouse_id: string; available_stock: number; reserved_stock: number } {
  return { warehouse_id: level.warehouseId, available_stock: level.available, reserved_stock: level.reserved };
}
