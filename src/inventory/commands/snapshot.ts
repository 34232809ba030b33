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
 * The ordering key of all commands that end holds: they run in one batch at a time. The products of a reservation are
 * known only within its batch, and two batches would wait for each other's levels.
 */
export const ENDINGS = 'endings';

/** The ids of the rows that a decision depends on. A reservation includes its order, and an order its reservation. */
export interface Needs {
  readonly products?: readonly string[];
  readonly reservations?: readonly string[];
  readonly orders?: readonly string[];
  /** Whether the stock of the reservations may move, so that its levels must be locked too. */
  readonly movesStock: boolean;
}

/** The rows that requests are decided on, all of one moment: read without locks, or locked. */
export interface Snapshot<Orders extends SnapshotOrders = SnapshotOrders> {
  /** The database's time; for locked rows, after the last of them was locked. */
  readonly now: Date;
  readonly stock: AvailableStock;
  readonly reservations: Map<string, ReservationView>;
  readonly orders: Orders;
  /** The products whose levels are locked, or will be. */
  readonly productIds: readonly string[];
  /** Whether overdue holds keep their pieces, because they cannot be ended at the moment. */
  readonly ignoresOverdue: boolean;
}

/** The orders of a batch: read without locks, or locked. */
export interface SnapshotOrders {
  readonly ids: readonly string[];
  has(id: string): boolean;
  /** The changes that cancel the order of a hold that ended at this time, if the order is pending. */
  cancelPending(orderId: string | null, reason: string, at: Date): Change[];
  apply(change: Change): void;
}

/**
 * What inventory needs of orders, which it does not import: they are locked before their reservations, and a pending
 * order ends with its hold.
 */
export interface OrderBook {
  /** The orders with these ids, and those of these reservations. Sends its statements at once. */
  look(manager: EntityManager, orderIds: readonly string[], reservationIds: readonly string[]): Promise<SnapshotOrders>;
  /** Locks these orders, sorted by id. Sends its statement at once. */
  lock(tx: Tx, seen: SnapshotOrders, lockWait: LockWait): Promise<SnapshotOrders>;
  /** Queues the rows of changes of orders. */
  write(unit: UnitOfWork, changes: readonly Caused<Change>[]): void;
  auditOf(change: Caused<Change>): AuditEntry;
}

/** Where the orders module registers its OrderBook. */
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
