import { Injectable } from '@nestjs/common';
import { Cron } from '@nestjs/schedule';
import { cleanupCron } from '../../platform/config/app-config';
import { RequestContext } from '../../platform/context/request-context';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { DatabaseUnavailable, Overloaded } from '../../platform/errors/domain-errors';
import { log } from '../../platform/logging/logger';
import { Metrics } from '../../platform/metrics/metrics';
import { ReservationEndings } from './reservation-endings';
import { ReservationExpiryHook } from './reservation-expiry-listener';
import { ShortByOverdue } from './overdue';
import { lockOverdue } from './reservation.locks';
import { findItems, withItems } from './reservations.query';

const JOB = 'reservation-expiry';
/** Small enough that a level is never locked for long, large enough that a backlog is gone in seconds. */
const BATCH = 200;

/** How often an attempt to reserve is made again while overdue holds have what it lacks. */
const MAX_RECLAIMS = 100;
/** That many batches in a row gave nothing: others are faster every time, or something is wrong with the holds. */
const MAX_IDLE_RECLAIMS = 10;

/** `statement_timestamp()` is as good here as the clock, and a condition that the index on `expires_at` can serve. */
const OVERDUE = `
  SELECT reservation.id, reservation.order_id AS "orderId", reservation.expires_at AS "expiresAt",
    extract(epoch FROM statement_timestamp() - reservation.expires_at)::float8 AS lag
  FROM reservations AS reservation
  WHERE reservation.status = 'active' AND reservation.expires_at <= statement_timestamp()
    AND ($1::uuid[] IS NULL OR EXISTS (
      SELECT FROM reservation_items AS item WHERE item.reservation_id = reservation.id AND item.product_id = ANY($1)))
    AND ($2::timestamptz IS NULL OR (reservation.expires_at, reservation.id) > ($2, $3::uuid))
  ORDER BY reservation.expires_at, reservation.id LIMIT ${BATCH}`;

interface Overdue {
  id: string;
  orderId: string | null;
  expiresAt: Date;
  /** Seconds since its end. */
  lag: number;
}

/** Whether what another transaction works on is left to that one, or waited for. */
interface Patience {
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
   * works on at the moment is left to that one, so any number of them share the work, and each hold ends once. A hold
   * that cannot be expired is logged and keeps none of the others from it.
   */
  async sweep(): Promise<number> {
    const { expired, lag } = await this.context.runAsSystem(JOB, () => this.expireAll());
    this.metrics.sweepSize.observe(expired);
    this.metrics.sweepLag.set(lag);
    if (expired > 0) {
      log.info({ expired, lag_seconds: lag }, 'expired overdue reservations');
    }
    return expired;
  }

  /**
   * Runs an attempt to take stock. As long as it falls short while overdue holds have what it lacks, expires a batch of
   * them and tries again, whoever was faster to expire them. So stock is free the moment its hold ends, however late
   * the sweep is. The last attempt is told that it is: after it nothing is reclaimed.
   */
  async reclaiming<T>(attempt: (isLast: boolean) => Promise<T>): Promise<T> {
    let idle = 0;
    for (let reclaims = 0; ; reclaims += 1) {
      const isLast = reclaims === MAX_RECLAIMS || idle === MAX_IDLE_RECLAIMS;
      try {
        return await attempt(isLast);
      } catch (error) {
        if (isLast || !(error instanceof ShortByOverdue)) {
          throw error;
        }
        const expired = await this.reclaim(error);
        if (expired === undefined) {
          return attempt(true);
        }
        idle = expired === 0 ? idle + 1 : 0;
      }
    }
  }

  /** How many holds it expired; undefined if none of those products is overdue. */
  private reclaim({ members, requestId }: ShortByOverdue): Promise<number | undefined> {
    const productIds = members.shortages.map((shortage) => shortage.product_id);
    return this.context.runAsSystem(JOB, () => this.expireSome(productIds), requestId);
  }

  private async expireAll(): Promise<{ expired: number; lag: number }> {
    let expired = 0;
    let lag = 0;
    // Page by page, so that what others hold locked at the front does not hide what comes after it.
    for (let last: Overdue | undefined; ;) {
      const overdue = await this.findOverdue(null, last);
      last = overdue.at(-1);
      if (!last) {
        return { expired, lag };
      }
      lag = Math.max(lag, overdue[0]!.lag);
      expired += await this.expireBatch(overdue, { skipLocked: true });
    }
  }

  private async expireSome(productIds: string[]): Promise<number | undefined> {
    const overdue = await this.findOverdue(productIds);
    return overdue.length === 0 ? undefined : this.expireBatch(overdue, { skipLocked: false });
  }

  private findOverdue(productIds: string[] | null, after?: Overdue): Promise<Overdue[]> {
    const values = [productIds, after?.expiresAt ?? null, after?.id ?? null];
    return this.transactions.read((manager) => manager.query<Overdue[]>(OVERDUE, values));
  }

  /** One transaction; if that fails for another reason than the database's health, the two halves, down to the culprit. */
  private async expireBatch(overdue: readonly Overdue[], patience: Patience): Promise<number> {
    try {
      return await this.transactions.run((tx) => this.expireTx(tx, overdue, patience));
    } catch (error) {
      const isForTheCaller = error instanceof Overloaded && !patience.skipLocked;
      if (error instanceof DatabaseUnavailable || isForTheCaller) {
        throw error;
      }
      if (error instanceof Overloaded || overdue.length === 1) {
        log.error({ err: error, reservations: overdue.map(({ id }) => id) }, 'could not expire overdue reservations');
        return 0;
      }
      const middle = overdue.length >> 1;
      const first = await this.expireBatch(overdue.slice(0, middle), patience);
      return first + (await this.expireBatch(overdue.slice(middle), patience));
    }
  }

  private async expireTx(tx: Tx, overdue: readonly Overdue[], { skipLocked }: Patience): Promise<number> {
    const orderIds = overdue.flatMap(({ orderId }) => orderId ?? []);
    const orders = await this.hook.lockOrdersTx(tx, orderIds, { skipLocked });
    const isOurs = ({ orderId }: Pick<Overdue, 'orderId'>): boolean => orderId === null || orders.ids.has(orderId);
    // One whose order was skipped is not even touched: it is for whoever has the order, and who would skip it too.
    const locked = await lockOverdue(
      tx,
      overdue.filter(isOurs).map(({ id }) => id),
      { skipLocked },
    );
    // One whose order was made since we looked is left: it is too late to lock its order now.
    const ours = locked.filter(isOurs);
    if (ours.length > 0) {
      const items = await findItems(
        tx,
        ours.map(({ id }) => id),
      );
      const wishes = withItems(ours, items).map((of) => ({ of, to: 'expire' as const }));
      const judgement = await this.endings.judgeAllTx(tx, wishes, { skipLocked: false });
      this.endings.fulfil(tx, judgement);
      orders.cancel(judgement.granted, 'the reservation expired');
    }
    return ours.length;
  }
}
