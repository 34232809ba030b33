import { Injectable } from '@nestjs/common';
import { In } from 'typeorm';
import { uuidv7 } from 'uuidv7';
import { type Cause, RequestContext } from '../platform/context/request-context';
import { together } from '../platform/database/together';
import { IMPATIENTLY, TransactionRunner } from '../platform/database/transaction-runner';
import type { Tx } from '../platform/database/tx';
import { Forbidden, Overloaded, ReservationNotActive } from '../platform/errors/domain-errors';
import type { BatchMode, GroupCommit, Job, Verdict } from '../platform/group-commit/group-commit';
import { GroupCommits } from '../platform/group-commit/group-commits';
import type { Answer } from '../platform/http/answer';
import { assertVersion, type Conditions } from '../platform/http/if-match';
import type { UserActor } from '../platform/security/actor';
import { type Move, OrderLifecycle } from './order-lifecycle';
import { assertTransition, cancelled, isForbidden, type OrderStatus } from './order-state';
import { Order, OrderStatusChange } from './order.entity';
import { lockOrders } from './order.locks';
import type { OrderResponse } from './orders.dto';
import { answerOrder, assertMayUse, findItems, findOverdue } from './orders.query';

/** One lane, one batch at a time: which products an order has is known only in the batch, and two would meet there. */
const LANE = ['order statuses'];

/** Where an order is to go. */
interface StatusChange extends Conditions {
  readonly orderId: string;
  readonly status: OrderStatus;
  readonly reason?: string;
}

/** One request to change a status, on its way through the lane; no two for one order go together. */
interface StatusJob extends Job, StatusChange {
  /** Of the change, in the history: made once, however often its batch is tried. */
  readonly id: string;
  readonly caller: UserActor;
  readonly cause: Cause;
}

/** How a job finds its order. */
interface Standing {
  readonly isLocked: boolean;
  /** Pending, but its hold is over. */
  readonly isOver: boolean;
}

type StatusVerdict = Verdict<Answer<OrderResponse>>;

/** Brings orders into other statuses, many at a time. */
@Injectable()
export class OrderStatusService {
  private readonly groupCommit: GroupCommit<StatusJob, Answer<OrderResponse>>;

  constructor(
    private readonly transactions: TransactionRunner,
    private readonly lifecycle: OrderLifecycle,
    private readonly context: RequestContext,
    groupCommits: GroupCommits,
  ) {
    this.groupCommit = groupCommits.for((jobs, mode) => this.attempt(jobs, mode));
  }

  /**
   * Brings an order into another status and moves the stock behind it, in one transaction with what others change at the
   * same time. Locks the order, its reservation and levels. A pending order whose hold is over is judged as it reads, which
   * is cancelled. A request whose caller has hung up before its turn is not carried out.
   * @throws NotFound, Forbidden, VersionMismatch, InvalidTransition, ReservationNotActive, Overloaded if too many wait
   */
  changeStatus(change: StatusChange, caller: UserActor): Promise<Answer<OrderResponse>> {
    return this.groupCommit.submit({
      ...{ id: uuidv7(), ...change, caller, cause: this.context.cause },
      ...{ lanes: LANE, alone: change.orderId },
    });
  }

  /** If the connection is lost during COMMIT, the history of the orders tells. */
  private attempt(jobs: readonly StatusJob[], mode: BatchMode): Promise<StatusVerdict[]> {
    return this.transactions.runAndSettle(
      (tx) => this.changeTx(tx, jobs, mode),
      (tx, unsure) => this.changeTx(tx, jobs, { isPatient: true }, unsure),
    );
  }

  private async changeTx(
    tx: Tx,
    jobs: readonly StatusJob[],
    { isPatient }: BatchMode,
    unsure?: StatusVerdict[],
  ): Promise<StatusVerdict[]> {
    const options = { skipLocked: !isPatient };
    if (!isPatient) {
      await tx.query(IMPATIENTLY);
    }
    const ids = jobs.map(({ orderId }) => orderId);
    const orders = new Map((await lockOrders(tx, ids, options)).map((order) => [order.id, order]));
    // Whoever had these orders locked has ended: either all the changes of that transaction are there, or none.
    if (unsure && (await tx.existsBy(OrderStatusChange, { orderId: In(ids), id: In(jobs.map(({ id }) => id)) }))) {
      return unsure;
    }
    const notLocked = ids.filter((id) => !orders.has(id));
    const skipped = notLocked.length > 0 ? await tx.findBy(Order, { id: In(notLocked) }) : [];
    const seen = new Map([...skipped.map((order) => [order.id, order] as const), ...orders]);
    const lockedIds = [...orders.keys()];
    const [items, overdue] = await together([findItems(tx, lockedIds), findOverdue(tx, lockedIds)]);
    const verdicts = new Map<StatusJob, StatusVerdict>();
    const moves = new Map<StatusJob, Move>();
    const judge = (job: StatusJob, isOver: boolean): void => {
      try {
        moves.set(job, moveOf(job, seen.get(job.orderId), { isLocked: orders.has(job.orderId), isOver }));
      } catch (error) {
        verdicts.set(job, { error });
      }
    };
    jobs.forEach((job) => judge(job, overdue.has(job.orderId)));
    const { moved, refused } = await this.lifecycle.moveAllTx(tx, [...moves.values()], options);
    const answers = new Map(
      moved.map((order) => [order.id, answerOrder({ ...order, items: items.get(order.id) ?? [], expiresAt: null })]),
    );
    moves.forEach(({ order }, job) => {
      const error = refused.get(order.reservationId);
      if (error instanceof ReservationNotActive) {
        // Its hold ended while we waited for locks.
        judge(job, true);
      } else {
        verdicts.set(job, error ? { error } : { result: answers.get(order.id)! });
      }
    });
    return jobs.map((job) => verdicts.get(job)!);
  }
}

/** @throws NotFound, Overloaded if it was skipped, Forbidden, VersionMismatch, ReservationNotActive, InvalidTransition */
function moveOf(job: StatusJob, order: Order | undefined, { isLocked, isOver }: Standing): Move {
  const { id, orderId, caller, status, reason, ifMatch, cause } = job;
  assertMayUse(order, orderId, caller);
  if (!isLocked) {
    throw new Overloaded();
  }
  if (isForbidden(caller.role, status)) {
    throw new Forbidden(`Only an administrator brings an order to ${status}`);
  }
  const current = isOver ? cancelled(order) : order;
  assertVersion(ifMatch, current.version);
  if (isOver && status === 'confirmed') {
    // It says more than that a cancelled order is final.
    throw new ReservationNotActive('expired');
  }
  const { stock } = assertTransition(current.status, status);
  return { id, order, to: status, reason: reason ?? null, cause, stock };
}
