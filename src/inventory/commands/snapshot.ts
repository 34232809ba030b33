import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { AuditEntry } from '../../audit/audit-action';
import type { Caused, Change } from '../../platform/batching/command';
import type { LockWait } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import type { ReservationView } from '../reservations/reservation.entity';
import type { AvailableStock } from '../stock/available-stock';

/**
 * The ordering key of all that ends holds: one batch of them at a time. Which products a reservation holds is known only in
 * its batch, and two batches would wait there for each other's levels.
 */
export const ENDINGS = 'endings';

/** Which rows a request is decided on, by ids. A reservation brings its order, and an order its reservation. */
export interface Needs {
  readonly products?: readonly string[];
  readonly reservations?: readonly string[];
  readonly orders?: readonly string[];
  /** Whether the stock of the reservations may move, so that its levels must be locked as well. */
  readonly movesStock: boolean;
}

/** What requests are decided on: rows as they are at one moment, seen or locked. */
export interface Snapshot<Orders extends SnapshotOrders = SnapshotOrders> {
  /** The database's time: of locked rows, when the last of them was locked. */
  readonly now: Date;
  readonly stock: AvailableStock;
  readonly reservations: Map<string, ReservationView>;
  readonly orders: Orders;
  /** The products whose levels are to be locked, or are. */
  readonly productIds: readonly string[];
  /** Whether holds that are over keep their pieces, because they cannot be ended at the moment. */
  readonly ignoresOverdue: boolean;
}

/** The orders that a batch is about, seen or locked. */
export interface SnapshotOrders {
  readonly ids: readonly string[];
  has(id: string): boolean;
  /** What cancels the order behind a hold that has ended at this time, if it is pending. */
  cancelPending(orderId: string | null, reason: string, at: Date): Change[];
  apply(change: Change): void;
}

/**
 * What inventory, which does not know orders, needs of them: they are locked before the reservations that they are made of,
 * and the pending ones end with these.
 */
export interface OrderBook {
  /** Those with these ids, and those made of these reservations. Sends its statements at once. */
  look(manager: EntityManager, orderIds: readonly string[], reservationIds: readonly string[]): Promise<SnapshotOrders>;
  /** Locks those that were seen, in the order of their ids. Sends its statement at once. */
  lock(tx: Tx, seen: SnapshotOrders, lockWait: LockWait): Promise<SnapshotOrders>;
  /** Queues the rows that the changes of orders are. */
  write(unit: UnitOfWork, changes: readonly Caused<Change>[]): void;
  auditOf(change: Caused<Change>): AuditEntry;
}

/** Where orders register. */
@Injectable()
export class OrderBooks {
  private registered?: OrderBook;

  register(book: OrderBook): void {
    this.registered = book;
  }

  get book(): OrderBook {
    if (!this.registered) {
      throw new Error('No orders have registered');
    }
    return this.registered;
  }
}
