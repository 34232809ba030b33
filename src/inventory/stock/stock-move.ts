import type { Change } from '../../platform/batching/command';
import type { MovementKind, StockLevel } from './stock.entity';

/** A change of a level: the differences of available and reserved, and the values afterwards. */
export interface StockMoved extends Change {
  readonly type: 'stock.moved';
  readonly kind: MovementKind;
  readonly productId: string;
  readonly warehouseId: string;
  readonly availableDelta: number;
  readonly reservedDelta: number;
  readonly availableAfter: number;
  readonly reservedAfter: number;
  readonly reservationId: string | null;
  readonly orderId: string | null;
  readonly reason: string | null;
}

/** How many pieces go to (+) or from (−) available and reserved, and why. */
export interface Move {
  readonly kind: MovementKind;
  readonly available: number;
  readonly reserved: number;
  readonly reservationId?: string | null;
  readonly orderId?: string | null;
  readonly reason?: string | null;
}

/**
 * The change that a move makes to a level; does not modify the level. The caller must check that it does not fall below zero.
 */
export function moveStock({ productId, warehouseId, ...before }: StockLevel, move: Move): StockMoved {
  const { kind, available, reserved, reservationId = null, orderId = null, reason = null } = move;
  const [availableAfter, reservedAfter] = [before.available + available, before.reserved + reserved];
  if (availableAfter < 0 || reservedAfter < 0) {
    throw new Error(`Stock level ${productId}/${warehouseId} would fall below zero`);
  }
  return {
    type: 'stock.moved',
    kind,
    productId,
    warehouseId,
    availableDelta: available,
    reservedDelta: reserved,
    availableAfter,
    reservedAfter,
    reservationId,
    orderId,
    reason,
  };
}

export function levelAfter({ productId, warehouseId, availableAfter, reservedAfter }: StockMoved): StockLevel {
  return {
    productId,
    warehouseId,
    available: availableAfter,
    reserved: reservedAfter,
    total: availableAfter + reservedAfter,
  };
}

export function isStockMoved<C extends Change>(change: C): change is C & StockMoved {
  return change.type === 'stock.moved';
}
