import { InvalidTransition } from '../platform/errors/domain-errors';
import type { Role } from '../platform/security/actor';

export const ORDER_STATUSES = ['pending', 'confirmed', 'processing', 'shipped', 'delivered', 'cancelled'] as const;
export type OrderStatus = (typeof ORDER_STATUSES)[number];

/** What a transition does to the order's stock. */
export type StockEffect = 'commit' | 'cancel' | 'restock' | 'none';

interface Transition {
  readonly roles: readonly Role[];
  readonly stock: StockEffect;
}

interface StatusRules {
  /** Whether the amount of an order in this status counts as revenue. */
  readonly isRevenue: boolean;
  /** The statuses that may follow. */
  readonly to: Readonly<Partial<Record<OrderStatus, Transition>>>;
}

const EITHER: readonly Role[] = ['user', 'admin'];
const ADMIN: readonly Role[] = ['admin'];

/**
 * The state machine: for each status its revenue, the transitions from it, who may make them, and their stock effect.
 */
const RULES: Readonly<Record<OrderStatus, StatusRules>> = {
  pending: {
    isRevenue: false,
    to: { confirmed: { roles: EITHER, stock: 'commit' }, cancelled: { roles: EITHER, stock: 'cancel' } },
  },
  confirmed: {
    isRevenue: true,
    to: { processing: { roles: ADMIN, stock: 'none' }, cancelled: { roles: EITHER, stock: 'restock' } },
  },
  processing: { isRevenue: true, to: { shipped: { roles: ADMIN, stock: 'none' } } },
  shipped: { isRevenue: true, to: { delivered: { roles: ADMIN, stock: 'none' } } },
  delivered: { isRevenue: true, to: {} },
  cancelled: { isRevenue: false, to: {} },
};

export const REVENUE_STATUSES: readonly OrderStatus[] = ORDER_STATUSES.filter((status) => RULES[status].isRevenue);

export function allowedFrom(status: OrderStatus): OrderStatus[] {
  return Object.keys(RULES[status].to) as OrderStatus[];
}

/** @throws InvalidTransition if there is no such transition */
export function assertTransition(from: OrderStatus, to: OrderStatus): Transition {
  const transition = RULES[from].to[to];
  if (!transition) {
    throw new InvalidTransition(from, to, allowedFrom(from));
  }
  return transition;
}

/** How a pending order reads once its hold is over: exactly as the sweep will write it. */
export function cancelled<T extends { status: OrderStatus; version: number }>(order: T): T {
  return { ...order, status: 'cancelled', version: order.version + 1 };
}

/** Whether only other roles may set this status. If no transition leads to it, the state machine refuses instead. */
export function isForbidden(role: Role, to: OrderStatus): boolean {
  const arrows = arrowsTo(to);
  return arrows.length > 0 && !arrows.some(({ roles }) => roles.includes(role));
}

/** Whether a transition to this status may move stock. */
export function movesStock(to: OrderStatus): boolean {
  return arrowsTo(to).some(({ stock }) => stock !== 'none');
}

function arrowsTo(status: OrderStatus): Transition[] {
  return Object.values(RULES).flatMap(({ to }) => to[status] ?? []);
}
