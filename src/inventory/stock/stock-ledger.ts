import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { type Cause, RequestContext } from '../../platform/context/request-context';
import { prepared } from '../../platform/database/prepared';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { levelAfter, type StockMoved } from './stock-move';
import { StockMovement } from './stock.entity';
import { keyOf } from './stock.locks';

const WRITE_LEVELS = `
  UPDATE stock_levels SET available = new.available, reserved = new.reserved, total = new.available + new.reserved
  FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[]) AS new (product_id, warehouse_id, available, reserved)
  WHERE stock_levels.product_id = new.product_id AND stock_levels.warehouse_id = new.warehouse_id`;

/** The only writer of stock levels: no level changes without its row in the ledger. */
@Injectable()
export class StockLedger {
  constructor(private readonly context: RequestContext) {}

  /**
   * Queues the levels after these moves, and a ledger row for each move. The levels must be locked, and the moves of
   * one level must be in order.
   * @param moves with their causes, unless these are the context's
   */
  write(unit: UnitOfWork, moves: readonly (StockMoved & { readonly cause?: Cause })[]): void {
    if (moves.length === 0) {
      return;
    }
    const levels = [...new Map(moves.map((move) => [keyOf(move), levelAfter(move)])).values()];
    unit.execute(prepared(WRITE_LEVELS), [
      levels.map((level) => level.productId),
      levels.map((level) => level.warehouseId),
      levels.map((level) => level.available),
      levels.map((level) => level.reserved),
    ]);
    unit.insert(
      StockMovement,
      moves.map(({ cause = this.context.cause, ...move }) => ({ id: uuidv7(), ...move, ...cause })),
    );
  }
}
