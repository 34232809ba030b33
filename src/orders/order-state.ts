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

interface StatusRules {
  /** Whether an order in this status has been sold, so that its amount counts as revenue. */
  readonly isRevenue: boolean;
  /** Where an order may go from here. */
  readonly to: Readonly<Partial<Record<OrderStatus, Transition>>>;
}

const EITHER: readonly Role[] = ['user', 'admin'];
const ADMIN: readonly Role[] = ['admin'];

/** The state machine: of each status whether it counts as revenue, where it leads, who may go there, and what that does to the stock. */
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

/** @throws InvalidTransition if no arrow leads from one to the other */
export function assertTransition(from: OrderStatus, to: OrderStatus): Transition {
  const transition = RULES[from].to[to];
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
  const arrows = arrowsTo(to);
  return arrows.length > 0 && !arrows.some(({ roles }) => roles.includes(role));
}

/** Whether an order that is brought to this status may move stock. */
export function movesStock(to: OrderStatus): boolean {
  return arrowsTo(to).some(({ stock }) => stock !== 'none');
}

function arrowsTo(status: OrderStatus): Transition[] {
  return Object.values(RULES).flatMap(({ to }) => to[status] ?? []);
}
