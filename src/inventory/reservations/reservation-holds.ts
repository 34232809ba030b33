import { Injectable } from '@nestjs/common';
import { In } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import { AuditService } from '../../audit/audit.service';
import { AppConfig } from '../../platform/config/app-config';
import { databaseNow } from '../../platform/database/clock';
import { afterCommit, StaleRead } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import {
  Duplicate,
  InsufficientStock,
  NotFound,
  type Shortage,
  ValidationFailed,
} from '../../platform/errors/domain-errors';
import { Metrics } from '../../platform/metrics/metrics';
import { sumOfLines } from '../../platform/money';
import { isAdmin, type UserActor } from '../../platform/security/actor';
import { Product } from '../products/product.entity';
import { StockLedger } from '../stock/stock-ledger';
import type { StockLevel } from '../stock/stock.entity';
import { lockLevelsOf } from '../stock/stock.locks';
import { Warehouse } from '../warehouses/warehouse.entity';
import { allocate, type Allotment, type Supply } from './allocation';
import { ReservationExpiryHook } from './reservation-expiry-listener';
import { assertWarehouses, currencyOf, type Line } from './reservation-lines';
import { Reservation, ReservationItem, type ReservationView } from './reservation.entity';
import { assertActiveTx, lockReservation } from './reservation.locks';
import { toReservationResponse } from './reservations.dto';
import { findReservation } from './reservations.query';

/** What is to be held, and for whom. */
export interface HoldRequest {
  userId: string;
  lines: readonly Line[];
  /** Left out: the configured default. */
  ttlSeconds?: number;
  /** The order that the hold is made for, in the same transaction. */
  orderId?: string;
}

/** A reservation with its items, for those who make something of it. */
export type HeldReservation = ReservationView;

/** Short, but overdue holds have some of what is missing: once they are expired, another try may succeed. */
export class ShortByOverdue extends InsufficientStock {}

const IS_OVERDUE = `
  SELECT FROM reservations AS reservation JOIN reservation_items AS item ON item.reservation_id = reservation.id
  WHERE reservation.status = 'active' AND reservation.expires_at <= statement_timestamp() AND item.product_id = ANY($1) LIMIT 1`;

/** How holds begin, and how they come to belong to an order, inside a transaction that the caller opened. */
@Injectable()
export class ReservationHolds {
  constructor(
    private readonly config: AppConfig,
    private readonly ledger: StockLedger,
    private readonly audit: AuditService,
    private readonly hook: ReservationExpiryHook,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Holds all lines or none, at today's prices. Locks the levels of all the products.
   * @throws NotFound, ValidationFailed, InsufficientStock with every short line
   */
  async holdTx(
    tx: Tx,
    { lines, ttlSeconds = this.config.reservationTtlSeconds, ...whose }: HoldRequest,
  ): Promise<HeldReservation> {
    this.assertTtl(ttlSeconds);
    const products = byId(await tx.findBy(Product, { id: In(lines.map((line) => line.productId)) }));
    const warehouses = byId(await tx.find(Warehouse, { order: { priority: 'ASC', id: 'ASC' } }));
    const currency = currencyOf(lines, products);
    assertWarehouses(lines, warehouses);
    const levels = await lockLevelsOf(tx, [...products.keys()]);
    const { allotments, shortages } = allocate(lines, inOrderOfPreference(levels, warehouses));
    if (shortages.length > 0) {
      throw this.counted(await shortfallTx(tx, shortages));
    }
    const items = allotments.sort(byLevel).map((allotment) => {
      const { sku, name, price: unitPrice } = products.get(allotment.productId)!;
      return { ...allotment, sku, name, unitPrice };
    });
    const reservation = await insertTx(tx, { ...whose, currency, ttlSeconds, totalAmount: sumOfLines(items) });
    await this.writeItemsTx(tx, { ...reservation, items }, levels);
    afterCommit(tx, () => this.metrics.reservations.inc({ outcome: 'created' }));
    return { ...reservation, items };
  }

  /**
   * Locks a reservation, after the order that it belongs to.
   * @throws NotFound, also for someone else's; StaleRead if it came to belong to an order meanwhile
   */
  async lockTx(tx: Tx, id: string, caller: UserActor): Promise<Reservation> {
    const seen = await tx.findOneBy(Reservation, { id });
    assertMayUse(seen, id, caller);
    await this.hook.lockOrdersTx(tx, seen.orderId === null ? [] : [seen.orderId], { skipLocked: false });
    const locked = await lockReservation(tx, id);
    if (locked?.orderId !== seen.orderId) {
      throw new StaleRead();
    }
    return locked;
  }

  /** As `lockTx`. @throws also ReservationNotActive */
  async lockActiveTx(tx: Tx, id: string, caller: UserActor): Promise<Reservation> {
    const reservation = await this.lockTx(tx, id, caller);
    await assertActiveTx(tx, reservation);
    return reservation;
  }

  /**
   * Lets a locked, active reservation belong to an order.
   * @throws ReservationNotActive, Duplicate if it belongs to one already
   */
  async attachTx(tx: Tx, reservation: Reservation, orderId: string): Promise<HeldReservation> {
    const now = await assertActiveTx(tx, reservation);
    if (reservation.orderId !== null) {
      throw new Duplicate('reservation_id', `The reservation belongs to order ${reservation.orderId} already`);
    }
    await tx.update(Reservation, { id: reservation.id }, { orderId, updatedAt: now });
    return (await findReservation(tx, reservation.id))!;
  }

  /**
   * Lets a locked reservation end so many seconds from now, but not past its lifetime in all.
   * @throws ReservationNotActive, ValidationFailed
   */
  async extendTx(tx: Tx, reservation: Reservation, ttlSeconds: number): Promise<void> {
    this.assertTtl(ttlSeconds);
    const now = await assertActiveTx(tx, reservation);
    const latest = reservation.createdAt.getTime() + this.config.reservationMaxTtlSeconds * 1000;
    const asked = Math.min(now.getTime() + ttlSeconds * 1000, latest);
    // A lifetime that was configured shorter meanwhile ends no hold that is running.
    const expiresAt = asked > now.getTime() ? new Date(asked) : reservation.expiresAt;
    await tx.update(Reservation, { id: reservation.id }, { expiresAt, updatedAt: now });
    await this.audit.recordTx(tx, {
      action: 'reservation.extended',
      objectId: reservation.id,
      oldValue: { expires_at: reservation.expiresAt.toISOString() },
      newValue: { expires_at: expiresAt.toISOString() },
    });
  }

  /** A refusal that stands; one that overdue holds may still undo is not counted. */
  private counted(error: InsufficientStock): InsufficientStock {
    if (!(error instanceof ShortByOverdue)) {
      this.metrics.reservations.inc({ outcome: 'short' });
    }
    return error;
  }

  private assertTtl(ttlSeconds: number): void {
    const max = this.config.reservationMaxTtlSeconds;
    if (ttlSeconds > max) {
      throw new ValidationFailed({
        field: 'ttl_seconds',
        message: `ttl_seconds must be a whole number from 1 to ${max}`,
      });
    }
  }

  private async writeItemsTx(tx: Tx, reservation: ReservationView, levels: readonly StockLevel[]): Promise<void> {
    const { id: reservationId, orderId, items } = reservation;
    await tx.insert(
      ReservationItem,
      items.map(({ productId, warehouseId, quantity, unitPrice }) => ({
        reservationId,
        productId,
        warehouseId,
        quantity,
        unitPrice,
      })),
    );
    await this.ledger.postTx(
      tx,
      levels,
      items.map(({ productId, warehouseId, quantity }) => ({
        ...{ productId, warehouseId, kind: 'reserve', available: -quantity, reserved: quantity },
        ...{ reservationId, orderId: orderId ?? undefined },
      })),
    );
    await this.audit.recordTx(tx, {
      action: 'reservation.created',
      objectId: reservationId,
      newValue: toReservationResponse(reservation),
    });
  }
}

/** @throws NotFound, whether there is no such reservation or it is someone else's */
export function assertMayUse<T extends { userId: string }>(
  found: T | null | undefined,
  id: string,
  caller: UserActor,
): asserts found is T {
  if (!found || !(found.userId === caller.id || isAdmin(caller))) {
    throw new NotFound('reservation', id);
  }
}

/** Asked while the levels are locked, without which no hold ends: so what ended before is in the levels already. */
export async function shortfallTx(tx: Tx, shortages: Shortage[]): Promise<InsufficientStock> {
  const overdue = await tx.query<unknown[]>(IS_OVERDUE, [shortages.map((shortage) => shortage.product_id)]);
  return overdue.length > 0 ? new ShortByOverdue(shortages) : new InsufficientStock(shortages);
}

function inOrderOfPreference(levels: readonly StockLevel[], warehouses: ReadonlyMap<string, Warehouse>): Supply[] {
  const rank = new Map([...warehouses.values()].filter(({ isActive }) => isActive).map(({ id }, index) => [id, index]));
  return levels
    .filter(({ warehouseId }) => rank.has(warehouseId))
    .sort((left, right) => rank.get(left.warehouseId)! - rank.get(right.warehouseId)!);
}

type Draft = Pick<Reservation, 'userId' | 'currency' | 'totalAmount'> & { orderId?: string; ttlSeconds: number };

async function insertTx(tx: Tx, { ttlSeconds, orderId, ...draft }: Draft): Promise<Reservation> {
  const now = await databaseNow(tx);
  const reservation: Reservation = {
    ...draft,
    id: uuidv7(),
    status: 'active',
    orderId: orderId ?? null,
    expiresAt: new Date(now.getTime() + ttlSeconds * 1000),
    createdAt: now,
    updatedAt: now,
  };
  await tx.insert(Reservation, reservation);
  return reservation;
}

/** The one order in which items are shown, whoever asks. */
function byLevel(left: Allotment, right: Allotment): number {
  return left.productId.localeCompare(right.productId) || left.warehouseId.localeCompare(right.warehouseId);
}

function byId<Row extends { id: string }>(rows: readonly Row[]): Map<string, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}
