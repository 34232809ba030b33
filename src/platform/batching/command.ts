import type { EntityManager } from 'typeorm';
import type { Cause } from '../context/request-context';
import type { LockWait } from '../database/rows.locks';
import type { Tx } from '../database/tx';
import type { UnitOfWork } from '../database/unit-of-work';
import type { Answer } from '../http/answer';

/** Something that happened, as plain data. The type names the object and the event: `reservation.ended`. */
export interface Change {
  readonly type: string;
}

/** A change with its cause: who made it, in which request. */
export type Caused<C extends Change> = C & { readonly cause: Cause };

/** The result of a request: its changes, and the answer to its caller. */
export interface Decision {
  readonly changes: readonly Change[];
  readonly answer: Answer<object>;
}

/**
 * One kind of request that changes stock or orders. A plain object without state: `check` and `decide` are pure and get
 * everything they need as parameters.
 */
export interface Command<Request, Needs, Snapshot> {
  /** Requests that share a key run in the order of their arrival, one batch at a time. */
  orderingKeys(request: Request): readonly string[];
  /** The rows that the decision depends on. */
  needs(request: Request): Needs;
  /**
   * What must be done before this request can be decided, in the form that the queue's `prepare` takes.
   * @throws DomainError as `check` does
   */
  prerequisites?(seen: Snapshot, request: Request): readonly string[];
  /**
   * Refuses a request without any lock if possible; then nothing is written for it.
   * @throws DomainError that holds for this snapshot
   */
  check(seen: Snapshot, request: Request): void;
  /**
   * Decides under locks; does not change the snapshot.
   * @throws DomainError that refuses the request, LookAgain if rows have changed since they were read
   */
  decide(locked: Snapshot, request: Request): Decision;
}

/** How the command runner reads, locks and writes the rows of a kind of commands. */
export interface Model<Needs, Snapshot> {
  /** Reads without locks. */
  look(manager: EntityManager, needs: readonly Needs[]): Promise<Snapshot>;
  /** The snapshot for decisions that are made without their prerequisites. */
  withoutPrerequisites(seen: Snapshot): Snapshot;
  /**
   * Locks the rows that were read, in the global order of locks, and only then reads the clock. All statements are sent
   * at once.
   */
  lock(tx: Tx, seen: Snapshot, lockWait: LockWait): Promise<Snapshot>;
  /** Whether all rows read for these needs are locked; some may be missing if locked rows were skipped. */
  isLocked(seen: Snapshot, locked: Snapshot, needs: Needs): boolean;
  /**
   * Whether refusals were decided on all existing rows: some may have been inserted while this transaction waited for
   * locks.
   */
  areFinal(tx: Tx, locked: Snapshot, refusals: readonly unknown[]): Promise<boolean>;
  /** Applies a change to the snapshot, for the decisions that follow. */
  apply(locked: Snapshot, change: Change): void;
  /** Queues the rows of the changes. */
  write(unit: UnitOfWork, changes: readonly Caused<Change>[]): void;
}

/**
 * Fulfils prerequisites; false if there was nothing to do or it could not be done: then decide without them.
 * @param requestId of the first request that has them
 */
export type Prepare = (prerequisites: readonly string[], requestId: string) => Promise<boolean>;
