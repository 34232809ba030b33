import { Injectable } from '@nestjs/common';
import { Cron } from '@nestjs/schedule';
import { cleanupCron } from '../../platform/config/app-config';
import { RequestContext } from '../../platform/context/request-context';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { InsufficientStock } from '../../platform/errors/domain-errors';
import { log } from '../../platform/logging/logger';
import { Metrics } from '../../platform/metrics/metrics';
import { ReservationEndings } from './reservation-endings';
import { ReservationExpiryHook } from './reservation-expiry-listener';
import { ShortByOverdue } from './reservation-holds';
import { lockOverdue } from './reservation.locks';

const JOB = 'reservation-expiry';
/** Small enough that a level is never locked for long, large enough that a backlog is gone in seconds. */
const BATCH = 200;

/** `statement_timestamp()` is as good here as the clock, and a condition that the index on `expires_at` can serve. */
const OVERDUE = `
  SELECT reservation.id, reservation.order_id AS "orderId", extract(epoch FROM statement_timestamp() - reservation.expires_at)::float8 AS lag
  FROM reservations AS reservation
  WHERE reservation.status = 'active' AND reservation.expires_at <= statement_timestamp()
    AND ($1::uuid[] IS NULL OR EXISTS (
      SELECT FROM reservation_items AS item WHERE item.reservation_id = reservation.id AND item.product_id = ANY($1)))
  ORDER BY reservation.expires_at, reservation.id LIMIT ${BATCH}`;

interface Overdue {
  id: string;
  orderId: string | null;
  /** Seconds since its end. */
  lag: number;
}

interface Scope {
  /** Only holds on these products; undefined for all. */
  productIds?: string[];
  /** Leave alone what another transaction works on, or wait for it. */
  skipLocked: boolean;
}

/** Ends the holds whose time is over. Nothing waits for it to be right: it gives back what already counts as free. */
@Injectable()
export class ReservationExpiry {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly endings: ReservationEndings,
    private readonly hook: ReservationExpiryHook,
    private readonly metrics: Metrics,
  ) {}

  @Cron(cleanupCron(), { name: JOB, waitForCompletion: true })
  async sweepOnSchedule(): Promise<void> {
    try {
      await this.sweep();
    } catch (error) {
      log.error({ err: error }, 'sweep failed; it runs again on schedule');
    }
  }

  /**
   * Expires every overdue reservation, in batches of a transaction each, and returns how many. What another process
   * works on at the moment is left to that one, so any number of them sweep side by side, and each hold ends once.
   */
  async sweep(): Promise<number> {
    const { expired, lag } = await this.context.runAsSystem(JOB, () => this.expireAll({ skipLocked: true }));
    this.metrics.sweepSize.observe(expired);
    this.metrics.sweepLag.set(lag);
    if (expired > 0) {
      log.info({ expired, lag_seconds: lag }, 'expired overdue reservations');
    }
    return expired;
  }

  /**
   * Runs an attempt to reserve; if it falls short while overdue holds have what it lacks, expires them and tries once
   * more, also if another was faster to expire them. So stock is free the moment its hold ends, however late the sweep is.
   */
  async reclaiming<T>(attempt: () => Promise<T>): Promise<T> {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof InsufficientStock)) {
        throw error;
      }
      this.metrics.reservations.inc({ outcome: 'short' });
      if (!(error instanceof ShortByOverdue)) {
        throw error;
      }
      const productIds = error.members.shortages.map((shortage) => shortage.product_id);
      await this.context.runAsSystem(JOB, () => this.expireAll({ productIds, skipLocked: false }));
      return attempt();
    }
  }

  private async expireAll(scope: Scope): Promise<{ expired: number; lag: number }> {
    let expired = 0;
    let lag = 0;
    for (;;) {
      const overdue = await this.transactions.read((manager) =>
        manager.query<Overdue[]>(OVERDUE, [scope.productIds ?? null]),
      );
      if (overdue.length === 0) {
        return { expired, lag };
      }
      lag = Math.max(lag, overdue[0]!.lag);
      const batch = await this.transactions.run((tx) => this.expireTx(tx, overdue, scope));
      expired += batch;
      // A batch of which another process holds everything: leave it to that one.
      if (batch === 0 || overdue.length < BATCH) {
        return { expired, lag };
      }
    }
  }

  private async expireTx(tx: Tx, overdue: readonly Overdue[], { skipLocked }: Scope): Promise<number> {
    const orderIds = overdue.flatMap(({ orderId }) => orderId ?? []);
    const lockedOrders = await this.hook.lockOrdersTx(tx, orderIds, { skipLocked });
    const isOurs = ({ orderId }: Pick<Overdue, 'orderId'>): boolean => orderId === null || lockedOrders.has(orderId);
    // One whose order was skipped is not even touched: it is for whoever has the order, and who would skip it too.
    const locked = await lockOverdue(
      tx,
      overdue.filter(isOurs).map(({ id }) => id),
      { skipLocked },
    );
    // One whose order was made since we looked is left: it is too late to lock its order now.
    const ours = locked.filter(isOurs);
    if (ours.length > 0) {
      await this.endings.expireTx(tx, ours);
    }
    return ours.length;
  }
}
