import type { EntityManager } from 'typeorm';
import type { Cause } from '../context/request-context';
import type { LockWait } from '../database/rows.locks';
import type { Tx } from '../database/tx';
import type { UnitOfWork } from '../database/unit-of-work';
import type { Answer } from '../http/answer';

/** What has happened, as plain data. The type says to what and what: `reservation.ended`. */
export interface Change {
  readonly type: string;
}

/** A change, and who caused it in which request. */
export type Caused<C extends Change> = C & { readonly cause: Cause };

/** What becomes of a request: what it changes, and what its caller is answered. */
export interface Decision {
  readonly changes: readonly Change[];
  readonly answer: Answer<object>;
}

/**
 * One kind of request that moves stock or orders. A plain object without state: `check` and `decide` are pure, and are given
 * everything that they need to know.
 */
export interface Command<Request, Needs, Snapshot> {
  /** Requests that share a key are carried out in the order of their arrival, one batch at a time. */
  orderingKeys(request: Request): readonly string[];
  /** Which rows the decision is made on. */
  needs(request: Request): Needs;
  /**
   * What must be done first, for this to be decided on what was seen; in words that the queue's `prepare` knows.
   * @throws DomainError that `check` throws as well
   */
  prerequisites?(seen: Snapshot, request: Request): readonly string[];
  /**
   * Refuses, without any lock, what can be refused already; nothing is written for it then.
   * @throws DomainError that is true of this snapshot
   */
  check(seen: Snapshot, request: Request): void;
  /**
   * Decides under locks; leaves the snapshot as it is.
   * @throws DomainError that refuses the request, LookAgain if rows have changed since they were seen
   */
  decide(locked: Snapshot, request: Request): Decision;
}

/** What the runner of commands must be told of the rows that they are about. */
export interface Model<Needs, Snapshot> {
  /** Reads without locks. */
  look(manager: EntityManager, needs: readonly Needs[]): Promise<Snapshot>;
  /** What was seen, for decisions that are to do without their prerequisites. */
  withoutPrerequisites(seen: Snapshot): Snapshot;
  /**
   * Locks the rows that were seen, in the one order of locks, and only then reads the clock. All statements are sent at
   * once.
   */
  lock(tx: Tx, seen: Snapshot, lockWait: LockWait): Promise<Snapshot>;
  /** Whether all the rows that were seen for these needs are locked; some may be missing if locks were skipped. */
  isLocked(seen: Snapshot, locked: Snapshot, needs: Needs): boolean;
  /**
   * Whether refusals, in their turn, were decided on all the rows that there are: some may have been made while this waited
   * for the locks of others.
   */
  areFinal(tx: Tx, locked: Snapshot, refusals: readonly unknown[]): Promise<boolean>;
  /** Lets the decisions that follow see a change. */
  apply(locked: Snapshot, change: Change): void;
  /** Queues the rows that the changes are. */
  write(unit: UnitOfWork, changes: readonly Caused<Change>[]): void;
}

/**
 * Fulfils prerequisites; false if there was nothing to do or it could not be done, so that it is done without.
 * @param requestId of the first request that has them
 */
export type Prepare = (prerequisites: readonly string[], requestId: string) => Promise<boolean>;
