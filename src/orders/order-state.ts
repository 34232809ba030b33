import { InvalidTransition } from '../platform/errors/domain-errors';
import type { Role } from '../platform/security/actor';

export const ORDER_STATUSES = ['pending', 'confirmed', 'processing', 'shipped', 'delivered', 'cancelled'] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

/** What a transition does to the stock behind the order. */
export type StockEffect = 'commit' | 'cancel' | 'restock' | 'none';

interface Transition {
  readonly roles: readonly Role[];
  readonly stock: StockEffect;
}

const EITHER: readonly Role[] = ['user', 'admin'];
const ADMIN: readonly Role[] = ['admin'];

/** The state machine: from each status to those it may go to, who may do it, and what it does to the stock. */
export const ORDER_TRANSITIONS: Readonly<Record<OrderStatus, Readonly<Partial<Record<OrderStatus, Transition>>>>> = {
  pending: { confirmed: { roles: EITHER, stock: 'commit' }, cancelled: { roles: EITHER, stock: 'cancel' } },
  confirmed: { processing: { roles: ADMIN, stock: 'none' }, cancelled: { roles: EITHER, stock: 'restock' } },
  processing: { shipped: { roles: ADMIN, stock: 'none' } },
  shipped: { delivered: { roles: ADMIN, stock: 'none' } },
  delivered: {},
  cancelled: {},
};

export function allowedFrom(status: OrderStatus): OrderStatus[] {
  return Object.keys(ORDER_TRANSITIONS[status]) as OrderStatus[];
}

/** @throws InvalidTransition if no arrow leads from one to the other */
export function assertTransition(from: OrderStatus, to: OrderStatus): Transition {
  const transition = ORDER_TRANSITIONS[from][to];
  if (!transition) {
    throw new InvalidTransition(from, to, allowedFrom(from));
  }
  return transition;
}

/** A pending order as it reads once its hold is over: already as the sweep will leave it. */
export function cancelled<T extends { status: OrderStatus; version: number }>(order: T): T {
  return { ...order, status: 'cancelled', version: order.version + 1 };
}

/** Whether this status is for other roles to set. One that no arrow leads to is nobody's: there the state machine refuses. */
export function isForbidden(role: Role, to: OrderStatus): boolean {
  const arrows = Object.values(ORDER_TRANSITIONS).flatMap((targets) => targets[to] ?? []);
  return arrows.length > 0 && !arrows.some(({ roles }) => roles.includes(role));
}

/** Whether an order that is brought to this status may move stock. */
export function movesStock(to: OrderStatus): boolean {
  return Object.values(ORDER_TRANSITIONS).some((targets) => (targets[to]?.stock ?? 'none') !== 'none');
}
