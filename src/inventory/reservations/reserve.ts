import type { Command, Decision } from '../../platform/batching/command';
import { LookAgain } from '../../platform/batching/in-parts';
import type { Needs, Snapshot } from '../commands/snapshot';
import type { Line } from '../stock/order-lines';
import { moveStock } from '../stock/stock-move';
import type { ReservationChange } from './reservation.changes';
import type { ReservationView } from './reservation.entity';

/** What to hold, and for whom. */
export interface ReserveRequest {
  /** The id for the new reservation; it stays the same for every try. */
  readonly id: string;
  readonly userId: string;
  readonly lines: readonly Line[];
  readonly ttlSeconds: number;
  /** The order that is made from it in the same transaction. */
  readonly orderId: string | null;
  /** Returns further changes for the new reservation, and the answer. Pure. */
  readonly conclude: (reservation: ReservationView) => Decision;
}

/**
 * Holds all lines or none, at current prices. A request for more than is in stock is refused without locks, with
 * numbers from one snapshot.
 * @throws NotFound, ValidationFailed, InsufficientStock with every short line and what is really there
 */
export const reserve: Command<ReserveRequest, Needs, Snapshot> = {
  orderingKeys: productIdsOf,
  needs: (request) => ({ products: productIdsOf(request), movesStock: true }),

  /** The products of which overdue holds must be expired first: what reads say is available is what is allocated from. */
  prerequisites: ({ stock }, { lines }) => stock.heldUpByOverdue(lines),

  check({ stock }, { lines }) {
    stock.allot(lines);
  },

  decide({ now, stock }, request) {
    const { id, userId, lines, ttlSeconds, orderId } = request;
    if (stock.heldUpByOverdue(lines).length > 0) {
      throw new LookAgain();
    }
    const quote = stock.quote(lines);
    const reservation: ReservationView = {
      id,
      userId,
      orderId,
      status: 'active',
      ...quote,
      expiresAt: new Date(now.getTime() + ttlSeconds * 1000),
      createdAt: now,
      updatedAt: now,
    };
    const moves = quote.items.map((item) =>
      moveStock(stock.level(item)!, {
        kind: 'reserve',
        available: -item.quantity,
        reserved: item.quantity,
        reservationId: id,
        orderId,
      }),
    );
    const created: ReservationChange = { type: 'reservation.created', reservation };
    const { changes, answer } = request.conclude(reservation);
    return { changes: [...changes, created, ...moves], answer };
  },
};

function productIdsOf({ lines }: ReserveRequest): string[] {
  return [...new Set(lines.map(({ productId }) => productId))];
}
