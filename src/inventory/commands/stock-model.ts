import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { AuditEntry } from '../../audit/audit-action';
import { AuditService } from '../../audit/audit.service';
import type { Caused, Change, Model } from '../../platform/batching/command';
import type { LockWait } from '../../platform/database/rows.locks';
import { together } from '../../platform/database/together';
import type { Tx } from '../../platform/database/tx';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { InsufficientStock } from '../../platform/errors/domain-errors';
import { isReservationChange } from '../reservations/reservation.changes';
import type { ReservationView } from '../reservations/reservation.entity';
import { auditOfReservation, ReservationWriter } from '../reservations/reservation.writer';
import { findHeld } from '../reservations/reservations.query';
import { StockLedger } from '../stock/stock-ledger';
import { isStockMoved } from '../stock/stock-move';
import { type Needs, OrderBooks, type Snapshot } from './snapshot';
import { lockAll } from './snapshot.locks';
import { lookAtStock } from './snapshot.query';

/** Reads, locks and writes the rows of commands: orders, reservations, stock levels. */
@Injectable()
export class StockModel implements Model<Needs, Snapshot> {
  constructor(
    private readonly orders: OrderBooks,
    private readonly reservations: ReservationWriter,
    private readonly ledger: StockLedger,
    private readonly audit: AuditService,
  ) {}

  async look(manager: EntityManager, needs: readonly Needs[]): Promise<Snapshot> {
    const productIds = unique(needs, ({ products }) => products);
    const reservationIds = unique(needs, ({ reservations }) => reservations);
    const orderIds = unique(needs, ({ orders }) => orders);
    const [seen, held, orders] = await together([
      lookAtStock(manager, productIds),
      reservationIds.length + orderIds.length > 0 ? findHeld(manager, reservationIds, orderIds) : [],
      this.orders.book.look(manager, orderIds, reservationIds),
    ]);
    const moving = needs.filter(({ movesStock }) => movesStock);
    const movingIds = new Set(moving.flatMap(({ reservations = [], orders: of = [] }) => [...reservations, ...of]));
    const movingItems = held
      .filter(({ id, orderId }) => movingIds.has(id) || (orderId !== null && movingIds.has(orderId)))
      .flatMap(({ items }) => items);
    return {
      now: seen.now,
      stock: seen.stock,
      reservations: new Map(held.map((one) => [one.id, one])),
      orders,
      ignoresOverdue: false,
      productIds: [...new Set([...productIds, ...movingItems.map((item) => item.productId)])],
    };
  }

  withoutPrerequisites(seen: Snapshot): Snapshot {
    return { ...seen, stock: seen.stock.withoutOverdue(), ignoresOverdue: true };
  }

  async lock(tx: Tx, seen: Snapshot, lockWait: LockWait): Promise<Snapshot> {
    const { orders, rows, levels, now } = await lockAll(tx, seen, this.orders.book, lockWait);
    const held = rows.map((row) => ({ ...row, items: seen.reservations.get(row.id)!.items }));
    return {
      ...seen,
      now,
      stock: seen.stock.withLevels(levels),
      reservations: new Map(held.map((one) => [one.id, one])),
      orders,
    };
  }

  isLocked(seen: Snapshot, locked: Snapshot, needs: Needs): boolean {
    const held = heldFor(needs, [...seen.reservations.values()]);
    const levels = [
      ...seen.stock.levelsOf(needs.products ?? []),
      ...(needs.movesStock ? held.flatMap(({ items }) => items) : []),
    ];
    return (
      levels.every((level) => locked.stock.level(level) !== undefined) &&
      held.every(({ id }) => locked.reservations.has(id)) &&
      held.every(({ orderId }) => orderId === null || locked.orders.has(orderId)) &&
      (needs.orders ?? []).every((id) => !seen.orders.has(id) || locked.orders.has(id))
    );
  }

  /** A shortage is not final if a level was created meanwhile, or if holds have become overdue. */
  async areFinal(tx: Tx, locked: Snapshot, refusals: readonly unknown[]): Promise<boolean> {
    const short = refusals.flatMap((error) => (error instanceof InsufficientStock ? error.members.shortages : []));
    if (short.length === 0) {
      return true;
    }
    const productIds = [...new Set(short.map((shortage) => shortage.product_id))];
    const { stock } = await lookAtStock(tx, productIds);
    const isSame = stock.levelsOf(productIds).every((level) => locked.stock.level(level) !== undefined);
    return isSame && (locked.ignoresOverdue || !stock.hasOverdue);
  }

  apply(locked: Snapshot, change: Change): void {
    if (isStockMoved(change)) {
      locked.stock.apply(change);
    } else if (isReservationChange(change)) {
      locked.reservations.set(change.reservation.id, change.reservation);
    } else {
      locked.orders.apply(change);
    }
  }

  /** Stock moves go to the ledger, all other changes to the audit log, in the order in which they were decided. */
  write(unit: UnitOfWork, changes: readonly Caused<Change>[]): void {
    this.ledger.write(unit, changes.filter(isStockMoved));
    this.reservations.write(unit, changes.filter(isReservationChange));
    const { book } = this.orders;
    const orders = changes.filter((change) => !isStockMoved(change) && !isReservationChange(change));
    book.write(unit, orders);
    const entryOf = (change: Caused<Change>): AuditEntry | undefined =>
      isReservationChange(change)
        ? auditOfReservation(change)
        : isStockMoved(change)
          ? undefined
          : book.auditOf(change);
    this.audit.record(unit, ...changes.flatMap((change) => entryOf(change) ?? []));
  }
}

/** The reservations that a request needs, by their own ids or their orders'. */
function heldFor({ reservations = [], orders = [] }: Needs, held: readonly ReservationView[]): ReservationView[] {
  return held.filter(({ id, orderId }) => reservations.includes(id) || (orderId !== null && orders.includes(orderId)));
}

function unique(needs: readonly Needs[], idsOf: (needs: Needs) => readonly string[] | undefined): string[] {
  return [...new Set(needs.flatMap((one) => idsOf(one) ?? []))];
}
