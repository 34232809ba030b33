import { Injectable } from '@nestjs/common';
import { estimateRows } from '../platform/database/estimate';
import { together } from '../platform/database/together';
import { TransactionRunner } from '../platform/database/transaction-runner';
import { Forbidden } from '../platform/errors/domain-errors';
import type { Answer } from '../platform/http/answer';
import { Keyset, type Position } from '../platform/http/cursor';
import { MAX_PAGE_SIZE, Page } from '../platform/http/page';
import { isAdmin, type UserActor } from '../platform/security/actor';
import { Order, OrderStatusChange } from './order.entity';
import {
  type OrderResponse,
  type OrdersQuery,
  type OrderStatusChangeResponse,
  toOrderResponse,
  toOrderStatusChangeResponse,
} from './orders.dto';
import { findOrders, findWhetherMany, selectOrders, SORT_ORDERS } from './order-list.query';
import { answerOrder, assertMayUseOrder, findOrder } from './orders.query';

@Injectable()
export class OrdersReader {
  /** Whether there are many orders. Until then each page checks; orders are never deleted. */
  private areMany = false;

  constructor(private readonly transactions: TransactionRunner) {}

  /**
   * Lists the caller's own orders, or all for an admin, in one statement a page. Paging is exact while orders are made:
   * a page begins where the previous one ended, whatever was added before it. @throws InvalidCursor, Forbidden for
   * another's user_id
   */
  async list({ limit, cursor, count, ...query }: OrdersQuery, caller: UserActor): Promise<Page<OrderResponse>> {
    const filters = { ...query, user_id: userToShow(query.user_id, caller) };
    const keyset = new Keyset(
      'orders',
      filters,
      SORT_ORDERS[filters.sort].column === 'total_amount' ? 'amount' : 'time',
    );
    const after = keyset.positionOf(cursor);
    const [orders, estimate, areMany] = await this.transactions.read((manager) =>
      together([
        findOrders(manager, filters, { count: limit + 1, after }, this.areMany),
        count && estimateRows(manager, selectOrders(filters)),
        this.areMany || findWhetherMany(manager),
      ]),
    );
    this.areMany = areMany;
    const at = (order: Order): Position => positionIn(filters, order);
    const page = keyset.page(orders, limit, at, toOrderResponse);
    return page.withEstimate(estimate, cursor);
  }

  /** The order as it reads now, the same before and after the sweep. @throws NotFound, also for someone else's */
  async get(id: string, caller: UserActor): Promise<Answer<OrderResponse>> {
    const order = await this.transactions.read((manager) => findOrder(manager, id));
    assertMayUseOrder(order, id, caller);
    return answerOrder(order);
  }

  /**
   * The status changes, oldest first; the end of a hold appears once the sweep has written it.
   * @throws NotFound, also for someone else's
   */
  async history(id: string, caller: UserActor): Promise<Page<OrderStatusChangeResponse>> {
    const changes = await this.transactions.read(async (manager) => {
      assertMayUseOrder(await manager.findOneBy(Order, { id }), id, caller);
      return manager.find(OrderStatusChange, { where: { orderId: id }, order: { createdAt: 'ASC', id: 'ASC' } });
    });
    // An order has at most as many changes as its state machine allows, so there is only one page.
    return new Page(changes.map(toOrderStatusChangeResponse), MAX_PAGE_SIZE, null);
  }
}

function userToShow(asked: string | undefined, caller: UserActor): string | undefined {
  if (isAdmin(caller)) {
    return asked?.toLowerCase();
  }
  if (asked !== undefined && asked.toLowerCase() !== caller.id) {
    throw new Forbidden('user_id is for the role admin');
  }
  return caller.id;
}

function positionIn({ sort }: Pick<OrdersQuery, 'sort'>, order: Order): Position {
  const { column } = SORT_ORDERS[sort];
  return { value: column === 'created_at' ? order.createdAt.toISOString() : order.totalAmount, id: order.id };
}
