import { ENDINGS, type Needs, type Snapshot } from '../inventory/commands/snapshot';
import type { ReservationView } from '../inventory/reservations/reservation.entity';
import { assertActive, endReservation, restock } from '../inventory/reservations/reservation.changes';
import type { Change, Command } from '../platform/batching/command';
import { Forbidden, ReservationNotActive } from '../platform/errors/domain-errors';
import { assertVersion } from '../platform/http/if-match';
import type { UserActor } from '../platform/security/actor';
import type { LoadedOrders } from './loaded-orders';
import { statusChanged } from './order.changes';
import {
  assertTransition,
  cancelled,
  isForbidden,
  movesStock,
  type OrderStatus,
  type StockEffect,
} from './order-state';
import { answerOrder, assertMayUseOrder } from './orders.query';

interface ChangeStatusRequest {
  readonly orderId: string;
  readonly caller: UserActor;
  readonly status: OrderStatus;
  readonly reason?: string;
  readonly ifMatch: string | undefined;
}

/**
 * Changes the status of an order and moves its stock.
 * @throws NotFound, Forbidden, VersionMismatch, InvalidTransition, ReservationNotActive, StockLevelFull
 */
export const changeOrderStatus: Command<ChangeStatusRequest, Needs, Snapshot<LoadedOrders>> = {
  orderingKeys: () => [ENDINGS],
  needs: ({ orderId, status }) => ({ orders: [orderId], movesStock: movesStock(status) }),

  check({ orders }, { orderId, caller, status }) {
    assertMayUseOrder(orders.get(orderId), orderId, caller);
    if (isForbidden(caller.role, status)) {
      throw new Forbidden(`Only an administrator brings an order to ${status}`);
    }
  },

  decide(snapshot, { orderId, status, reason = null, ifMatch }) {
    const { now, orders, reservations } = snapshot;
    const order = orders.get(orderId)!;
    const reservation = reservations.get(order.reservationId)!;
    const isOver = order.status === 'pending' && reservation.expiresAt <= now;
    const current = isOver ? cancelled(order) : order;
    assertVersion(ifMatch, current.version);
    if (isOver && status === 'confirmed') {
      // Says more than that a cancelled order is final.
      throw new ReservationNotActive('expired');
    }
    const { stock } = assertTransition(current.status, status);
    const changes = stockChanges(snapshot, reservation, stock);
    const changed = statusChanged(order, status, reason, now);
    return { changes: [...changes, changed], answer: answerOrder(changed.order) };
  },
};

/**
 * The changes that a transition makes to the order's reservation and stock. @throws ReservationNotActive,
 * StockLevelFull
 */
function stockChanges(snapshot: Snapshot, reservation: ReservationView, effect: StockEffect): Change[] {
  switch (effect) {
    case 'commit':
      assertActive(reservation, snapshot.now);
      return endReservation(snapshot, reservation, 'committed').changes;
    case 'cancel':
      assertActive(reservation, snapshot.now);
      return endReservation(snapshot, reservation, 'cancelled').changes;
    case 'restock':
      return restock(snapshot, reservation);
    case 'none':
      return [];
  }
}
