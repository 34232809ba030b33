import { Injectable } from '@nestjs/common';
import { TransactionRunner } from '../platform/database/transaction-runner';
import { Forbidden } from '../platform/errors/domain-errors';
import type { Answer } from '../platform/http/answer';
import { assertVersion } from '../platform/http/if-match';
import type { UserActor } from '../platform/security/actor';
import { OrderLifecycle } from './order-lifecycle';
import { isForbidden } from './order-state';
import { lockOrder } from './order.locks';
import type { ChangeOrderStatusBody, OrderResponse } from './orders.dto';
import { answerOrder, assertMayUse } from './orders.query';

@Injectable()
export class OrderStatusService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly lifecycle: OrderLifecycle,
  ) {}

  /**
   * Brings an order into another status and moves the stock behind it. Locks the order, its reservation and levels.
   * @throws NotFound, Forbidden, VersionMismatch, InvalidTransition, ReservationNotActive
   */
  async changeStatus(
    id: string,
    body: ChangeOrderStatusBody,
    caller: UserActor,
    ifMatch: string | undefined,
  ): Promise<Answer<OrderResponse>> {
    return this.transactions.run(async (tx) => {
      const order = await lockOrder(tx, id);
      assertMayUse(order, id, caller);
      if (isForbidden(caller.role, body.status)) {
        throw new Forbidden(`Only an administrator brings an order to ${body.status}`);
      }
      assertVersion(ifMatch, order.version);
      await this.lifecycle.moveTx(tx, order, body.status, body.reason ?? null);
      return answerOrder(tx, id);
    });
  }
}
