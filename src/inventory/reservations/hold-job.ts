import type { Cause } from '../../platform/context/request-context';
import type { Tx } from '../../platform/database/tx';
import type { Job, Verdict } from '../../platform/group-commit/group-commit';
import type { Answer } from '../../platform/http/answer';
import type { MaybeKeyed } from '../../platform/idempotency/idempotency-keys';
import type { Line } from './reservation-lines';
import type { ReservationView } from './reservation.entity';

/** What is to be held, and for whom. */
export interface HoldRequest {
  readonly userId: string;
  readonly lines: readonly Line[];
  /** Left out: the configured default. */
  readonly ttlSeconds?: number;
  /** The order that the hold is made for, in the same transaction. */
  readonly orderId?: string;
}

/** One request to hold stock, on its way through the lanes: one for each of its products. */
export interface HoldJob extends Job, MaybeKeyed, Required<Omit<HoldRequest, 'orderId'>> {
  /** Of the reservation to be: made once, however often its batch is tried. */
  readonly id: string;
  readonly orderId: string | null;
  readonly cause: Cause;
  readonly sequel: HoldSequel;
}

export type HoldVerdict = Verdict<Answer<object>>;

/** A reservation with its items, for those who make something of it. */
export type HeldReservation = ReservationView;

/** A hold of the transaction that is under way, and for whom it is made if not for the context's request. */
export interface MadeHold {
  readonly reservation: HeldReservation;
  readonly cause?: Cause;
}

/**
 * Sends what else is written for some of the holds of a batch, to be committed with, and says what each of them is
 * answered.
 */
export interface HoldSequel {
  write(tx: Tx, holds: readonly MadeHold[]): Answer<object>[];
}

/** The products of all the jobs, each once. */
export function productsOf(jobs: readonly HoldJob[]): string[] {
  return [...new Set(jobs.flatMap((job) => job.lanes))];
}
