import { Injectable } from '@nestjs/common';
import { RequestContext } from '../../platform/context/request-context';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { DatabaseUnavailable, Overloaded } from '../../platform/errors/domain-errors';
import { log } from '../../platform/logging/logger';
import { Metrics } from '../../platform/metrics/metrics';
import { ReservationEndings } from './reservation-endings';
import { ReservationExpiryHook } from './reservation-expiry-listener';
import { type ByOverdue, isByOverdue, NO_RECLAIMS, type Reclaims } from './overdue';
import { lockOverdue } from './reservation.locks';
import { findItems, withItems } from './reservations.query';

const JOB = 'reservation-expiry';
/** Small enough that a level is never locked for long, large enough that a backlog is gone in seconds. */
const BATCH = 200;

/** For who can be served without what he waits for: long enough for a sweep that has it, not for somebody who forgot it. */
const FOR_A_MOMENT = `SET LOCAL lock_timeout = '500ms'`;

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

const NEXT_END = `
  SELECT 1000 * extract(epoch FROM expires_at - statement_timestamp())::float8 AS "timeLeft" FROM reservations
  WHERE status = 'active' AND expires_at <= statement_timestamp() + $1 * interval '1 millisecond' AND id <> ALL($2::uuid[])
  ORDER BY expires_at LIMIT 1`;

interface Overdue {
  id: string;
  orderId: string | null;
  expiresAt: Date;
  /** Seconds since its end. */
  lag: number;
}

/** Whether what another transaction works on is left to that one, or waited for; and if so, whether only for a moment. */
interface Patience {
  skipLocked: boolean;
  isBrief?: boolean;
}

/** Ends the holds whose time is over. Nothing waits for it to be right: it gives back what already counts as free. */
@Injectable()
export class ReservationExpiry {
  /** Holds that could not be expired: `sweepAgain` leaves them to the next `sweep`. */
  private readonly stuck = new Set<string>();

  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly endings: ReservationEndings,
    private readonly hook: ReservationExpiryHook,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Expires every overdue reservation, in batches of a transaction each, and returns how many. What another process
   * works on at the moment is left to that one, so any number of them share the work, and each hold ends once. A hold
   * that cannot be expired is logged and keeps none of the others from it. Ends after its batch when `signal` is aborted.
   */
  sweep(signal?: AbortSignal): Promise<number> {
    this.stuck.clear();
    return this.sweepAgain(signal);
  }

  /** As `sweep`, but does not try again what could not be expired since the last one. */
  async sweepAgain(signal?: AbortSignal): Promise<number> {
    const { expired, lag } = await this.context.runAsSystem(JOB, () => this.expireAll(signal));
    this.metrics.sweepSize.observe(expired);
    this.metrics.sweepLag.set(lag);
    if (expired > 0) {
      log.info({ expired, lag_seconds: lag }, 'expired overdue reservations');
    }
    return expired;
  }

  /**
   * In how many milliseconds the next of the holds ends that `sweepAgain` expires, by the database's clock: not above zero if
   * one is over, `most` if none ends until then. One look into an index.
   */
  async timeToNextEnd(most: number): Promise<number> {
    const [next] = await this.transactions.read((manager) =>
      manager.query<{ timeLeft: number }[]>(NEXT_END, [most, [...this.stuck]]),
    );
    return next?.timeLeft ?? most;
  }

  /**
   * Runs an attempt to take stock. As long as a request falls short, or would be served from other warehouses, because of
   * overdue holds, expires a batch of them and tries again, whoever was faster to expire them. So stock is free the moment
   * its hold ends, however late the sweep is. Each attempt is told what it may still ask for; the last one, for nothing.
   */
  async reclaiming<T>(attempt: (reclaims: Reclaims) => Promise<T>): Promise<T> {
    // Products on which there are no overdue holds, or none that can be had.
    const without = { short: new Set<string>(), displaced: new Set<string>() };
    const reclaims: Reclaims = {
      short: (productId) => !without.short.has(productId),
      displaced: (productId) => !without.displaced.has(productId),
    };
    let idle = 0;
    for (let tries = 0; ; tries += 1) {
      const isLast = tries === MAX_RECLAIMS || idle === MAX_IDLE_RECLAIMS;
      try {
        return await attempt(isLast ? NO_RECLAIMS : reclaims);
      } catch (error) {
        if (isLast || !isByOverdue(error) || !error.productIds.some(reclaims[error.kind])) {
          throw error;
        }
        const expired = await this.reclaim(error);
        if (expired === undefined) {
          error.productIds.forEach((productId) => without[error.kind].add(productId));
        }
        idle = expired ? 0 : idle + 1;
      }
    }
  }

  /** How many holds it expired; undefined if none of those products is overdue, or none that can be had. */
  private reclaim({ kind, productIds, requestId }: ByOverdue): Promise<number | undefined> {
    const expire = async (): Promise<number | undefined> => {
      const overdue = await this.findOverdue(productIds);
      if (overdue.length === 0) {
        return undefined;
      }
      return kind === 'short' ? this.expireBatch(overdue, { skipLocked: false }) : this.expireSoon(overdue);
    };
    return this.context.runAsSystem(JOB, expire, requestId);
  }

  /** For who can be served without: does not wait for long, and then expires only what nobody has locked. */
  private async expireSoon(overdue: readonly Overdue[]): Promise<number | undefined> {
    try {
      return await this.expireBatch(overdue, { skipLocked: false, isBrief: true });
    } catch (error) {
      if (!(error instanceof Overloaded)) {
        throw error;
      }
      return (await this.expireBatch(overdue, { skipLocked: true, isBrief: true })) || undefined;
    }
  }

  private async expireAll(signal?: AbortSignal): Promise<{ expired: number; lag: number }> {
    let expired = 0;
    let lag = 0;
    // Page by page, so that what others hold locked at the front does not hide what comes after it.
    for (let last: Overdue | undefined; !signal?.aborted;) {
      const page = await this.findOverdue(null, last);
      last = page.at(-1);
      if (!last) {
        break;
      }
      const overdue = page.filter(({ id }) => !this.stuck.has(id));
      lag = Math.max(lag, overdue[0]?.lag ?? 0);
      expired += overdue.length > 0 ? await this.expireBatch(overdue, { skipLocked: true }) : 0;
    }
    return { expired, lag };
  }

  private findOverdue(productIds: readonly string[] | null, after?: Overdue): Promise<Overdue[]> {
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
        if (!patience.isBrief) {
          overdue.forEach(({ id }) => this.stuck.add(id));
        }
        log.error({ err: error, reservations: overdue.map(({ id }) => id) }, 'could not expire overdue reservations');
        return 0;
      }
      const middle = overdue.length >> 1;
      const first = await this.expireBatch(overdue.slice(0, middle), patience);
      return first + (await this.expireBatch(overdue.slice(middle), patience));
    }
  }

  private async expireTx(tx: Tx, overdue: readonly Overdue[], { skipLocked, isBrief }: Patience): Promise<number> {
    if (isBrief) {
      await tx.query(FOR_A_MOMENT);
    }
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
