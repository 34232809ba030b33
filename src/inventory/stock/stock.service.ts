import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { AuditService } from '../../audit/audit.service';
import { estimateRows } from '../../platform/database/estimate';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { InsufficientStock, NotFound, ValidationFailed } from '../../platform/errors/domain-errors';
import { Answer } from '../../platform/http/answer';
import { Keyset, type Position } from '../../platform/http/cursor';
import type { Page, PageQuery } from '../../platform/http/page';
import { IdempotencyService } from '../../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Product } from '../products/product.entity';
import { StockCommands } from '../commands/stock-commands';
import { MAIN_WAREHOUSE_ID, Warehouse } from '../warehouses/warehouse.entity';
import { StockLedger } from './stock-ledger';
import { levelAfter, moveStock } from './stock-move';
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

/** How often an adjustment or a transfer expires overdue holds: each time, others may take the pieces first. */
const MAX_TRIES = 10;

@Injectable()
export class StockService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly idempotency: IdempotencyService,
    private readonly ledger: StockLedger,
    private readonly audit: AuditService,
    private readonly commands: StockCommands,
  ) {}

  /**
   * Adds pieces to a level or removes available ones; reserved pieces stay reserved, unless their hold is over. Locks
   * the level.
   * @throws NotFound for the product or warehouse, InsufficientStock if available would fall below 0
   */
  async adjust(
    productId: string,
    body: AdjustStockBody,
    request: IdempotentRequest,
  ): Promise<Answer<StockLevelResponse>> {
    const key = { productId, warehouseId: body.warehouse_id?.toLowerCase() ?? MAIN_WAREHOUSE_ID };
    return this.reclaiming(productId, request, async (unit) => {
      await assertProduct(unit, productId);
      const [before] = await lockOrMakeLevels(unit, [key]);
      assertFits(before!, body.delta, 'delta');
      const { delta, reason } = body;
      const moved = moveStock(before!, { kind: 'adjustment', available: delta, reserved: 0, reason });
      const after = levelAfter(moved);
      this.ledger.write(unit, [moved]);
      this.audit.record(unit, {
        action: 'stock.adjusted',
        objectId: productId,
        oldValue: summaryOf(before!),
        newValue: { ...summaryOf(after), delta, reason },
      });
      return new Answer(toStockLevelResponse(after));
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
    return this.reclaiming(productId, request, async (unit) => {
      await assertProduct(unit, productId);
      const levels = await lockOrMakeLevels(unit, [from, to]);
      const [source, target] = [levelAt(levels, from), levelAt(levels, to)];
      assertFits(source, -quantity, 'quantity');
      assertFits(target, quantity, 'quantity');
      const out = moveStock(source, { kind: 'transfer_out', available: -quantity, reserved: 0, reason });
      const into = moveStock(target, { kind: 'transfer_in', available: quantity, reserved: 0, reason });
      this.ledger.write(unit, [out, into]);
      return this.transferred(unit, body, levelAfter(out), levelAfter(into));
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

  /** Stock that is shown as available can be taken: if the level falls short, expires overdue holds and tries again. */
  private async reclaiming<T extends object>(
    productId: string,
    request: IdempotentRequest,
    work: (unit: UnitOfWork) => Promise<Answer<T>>,
  ): Promise<Answer<T>> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.idempotency.run(request, work);
      } catch (error) {
        const isWorthAnotherTry = error instanceof InsufficientStock && attempt < MAX_TRIES;
        if (!isWorthAnotherTry || !(await this.commands.endOverdueOn([productId]))) {
          throw error;
        }
      }
    }
  }

  private transferred(
    unit: UnitOfWork,
    body: TransferStockBody,
    source: StockLevel,
    target: StockLevel,
  ): Answer<TransferResponse> {
    const id = uuidv7();
    const { productId: product_id, warehouseId: from_warehouse_id } = source;
    const { warehouseId: to_warehouse_id } = target;
    const { quantity, reason = null } = body;
    this.audit.record(unit, {
      action: 'stock.transferred',
      objectId: product_id,
      newValue: { transfer_id: id, from_warehouse_id, to_warehouse_id, quantity, reason },
    });
    const levels = { from: toStockLevelResponse(source), to: toStockLevelResponse(target) };
    return new Answer({ id, product_id, from_warehouse_id, to_warehouse_id, quantity, reason, ...levels });
  }
}

async function assertProduct({ tx }: UnitOfWork, productId: string): Promise<void> {
  if (!(await tx.existsBy(Product, { id: productId }))) {
    throw new NotFound('product', productId);
  }
}

async function lockOrMakeLevels({ tx }: UnitOfWork, keys: LevelKey[]): Promise<StockLevel[]> {
  for (const { warehouseId } of keys) {
    if (!(await tx.existsBy(Warehouse, { id: warehouseId }))) {
      throw new NotFound('warehouse', warehouseId);
    }
  }
  // In the order of the locks, so that two transactions that insert the same rows do not deadlock either.
  const sorted = [...keys].sort((left, right) => (left.warehouseId < right.warehouseId ? -1 : 1));
  await tx.createQueryBuilder().insert().into(StockLevel).values(sorted).orIgnore().updateEntity(false).execute();
  return lockLevels(tx, sorted);
}

function levelAt(levels: StockLevel[], { warehouseId }: LevelKey): StockLevel {
  return levels.find((level) => level.warehouseId === warehouseId)!;
}

function assertFits(level: StockLevel, delta: number, field: string): void {
  if (level.available + delta < 0) {
    const { productId: product_id, warehouseId: warehouse_id, available } = level;
    throw new InsufficientStock([{ product_id, warehouse_id, requested: -delta, available }]);
  }
  if (delta > 0 && level.total + delta > MAX_STOCK) {
    throw new ValidationFailed({ field, message: `${field} would bring the level above ${MAX_STOCK}` });
  }
}

function summaryOf(level: StockLevel): { warehouse_id: string; available_stock: number; reserved_stock: number } {
  return { warehouse_id: level.warehouseId, available_stock: level.available, reserved_stock: level.reserved };
}
