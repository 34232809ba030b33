import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { type Cause, RequestContext } from '../../platform/context/request-context';
import { insertOf } from '../../platform/database/insert-rows';
import { prepared } from '../../platform/database/prepared';
import type { Tx } from '../../platform/database/tx';
import { type MovementKind, type StockLevel, StockMovement } from './stock.entity';
import { keyOf, type LevelKey } from './stock.locks';

/** One change of one level: how many pieces go to (+) or from (−) available and reserved. */
export interface Posting extends LevelKey {
  readonly kind: MovementKind;
  readonly available: number;
  readonly reserved: number;
  readonly reservationId?: string;
  readonly orderId?: string;
  readonly reason?: string;
  /** Who moves it in which request, if those are not the context's. */
  readonly cause?: Cause;
}

const WRITE_LEVELS = `
  UPDATE stock_levels SET available = new.available, reserved = new.reserved, total = new.available + new.reserved
  FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[]) AS new (product_id, warehouse_id, available, reserved)
  WHERE stock_levels.product_id = new.product_id AND stock_levels.warehouse_id = new.warehouse_id`;

/** The only writer of stock levels: no level changes without its row in the ledger. */
@Injectable()
export class StockLedger {
  constructor(private readonly context: RequestContext) {}

  /**
   * Applies the postings in their order to levels that `tx` holds locked, and writes levels and movements. The level
   * objects are brought up to date. A level that would fall below zero is a fault of the caller, who has to check.
   */
  async postTx(tx: Tx, locked: readonly StockLevel[], postings: readonly Posting[]): Promise<void> {
    if (postings.length === 0) {
      return;
    }
    const levels = new Map(locked.map((level) => [keyOf(level), level]));
    const changed = new Set<StockLevel>();
    const movements = postings.map((posting) => {
      const level = levels.get(keyOf(posting));
      if (!level) {
        throw new Error(`Stock level ${keyOf(posting)} is not locked`);
      }
      apply(posting, level);
      changed.add(level);
      return this.movement(posting, level);
    });
    await write(tx, [...changed], movements);
  }

  private movement(posting: Posting, after: StockLevel): Partial<StockMovement> {
    return {
      id: uuidv7(),
      productId: posting.productId,
      warehouseId: posting.warehouseId,
      kind: posting.kind,
      availableDelta: posting.available,
      reservedDelta: posting.reserved,
      availableAfter: after.available,
      reservedAfter: after.reserved,
      reservationId: posting.reservationId ?? null,
      orderId: posting.orderId ?? null,
      reason: posting.reason ?? null,
      ...(posting.cause ?? this.context.cause),
    };
  }
}

function apply(posting: Posting, level: StockLevel): void {
  level.available += posting.available;
  level.reserved += posting.reserved;
  level.total = level.available + level.reserved;
  if (level.available < 0 || level.reserved < 0) {
    throw new Error(`Stock level ${keyOf(level)} would fall below zero`);
  }
}

async function write(tx: Tx, levels: readonly StockLevel[], movements: Partial<StockMovement>[]): Promise<void> {
  const { sql, toRecord } = insertOf(tx, StockMovement, movements[0]!, '$5');
  await tx.query(prepared(`WITH written AS (${WRITE_LEVELS}) ${sql}`), [
    levels.map((level) => level.productId),
    levels.map((level) => level.warehouseId),
    levels.map((level) => level.available),
    levels.map((level) => level.reserved),
    JSON.stringify(movements.map(toRecord)),
  ]);
}
