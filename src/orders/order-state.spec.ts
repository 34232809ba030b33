import { InvalidTransition } from '../platform/errors/domain-errors';
import {
  allowedFrom,
  assertTransition,
  isForbidden,
  ORDER_STATUSES,
  type OrderStatus,
  REVENUE_STATUSES,
  type StockEffect,
} from './order-state';

/** The contract's transitions, repeated to check the table in the source. */
const ARROWS: { from: OrderStatus; to: OrderStatus; roles: string[]; stock: StockEffect }[] = [
  { from: 'pending', to: 'confirmed', roles: ['user', 'admin'], stock: 'commit' },
  { from: 'pending', to: 'cancelled', roles: ['user', 'admin'], stock: 'cancel' },
  { from: 'confirmed', to: 'processing', roles: ['admin'], stock: 'none' },
  { from: 'confirmed', to: 'cancelled', roles: ['user', 'admin'], stock: 'restock' },
  { from: 'processing', to: 'shipped', roles: ['admin'], stock: 'none' },
  { from: 'shipped', to: 'delivered', roles: ['admin'], stock: 'none' },
];

const PAIRS = ORDER_STATUSES.flatMap((from) => ORDER_STATUSES.map((to) => ({ from, to })));
const arrowOf = (pair: { from: OrderStatus; to: OrderStatus }) =>
  ARROWS.find(({ from, to }) => from === pair.from && to === pair.to);

function refusalOf(from: OrderStatus, to: OrderStatus): InvalidTransition {
  try {
    assertTransition(from, to);
  } catch (error) {
    return error as InvalidTransition;
  }
  throw new Error(`${from} may go to ${to}`);
}

describe('The state machine of orders', () => {
  it('knows the six statuses of the contract, and so 36 pairs of them', () => {
    expect(ORDER_STATUSES).toEqual(['pending', 'confirmed', 'processing', 'shipped', 'delivered', 'cancelled']);
    expect(PAIRS).toHaveLength(36);
  });

  it('counts as revenue what has been sold and not come back', () => {
    expect(REVENUE_STATUSES).toEqual(['confirmed', 'processing', 'shipped', 'delivered']);
  });

  it.each(ARROWS)(
    'lets $roles bring an order from $from to $to, with the stock effect $stock',
    ({ from, to, roles, stock }) => {
      expect(assertTransition(from, to)).toEqual({ roles, stock });
    },
  );

  it.each(PAIRS.filter((pair) => !arrowOf(pair)))(
    'refuses to go from $from to $to, and says where $from leads',
    ({ from, to }) => {
      const allowed = ARROWS.filter((arrow) => arrow.from === from).map((arrow) => arrow.to);
      const refusal = refusalOf(from, to);
      expect(refusal).toBeInstanceOf(InvalidTransition);
      expect(refusal.members).toEqual({ from, to, allowed });
    },
  );

  it.each(ORDER_STATUSES)('lists where %s leads in the order of the contract', (status) => {
    expect(allowedFrom(status)).toEqual(ARROWS.filter(({ from }) => from === status).map(({ to }) => to));
  });

  it.each([
    { to: 'confirmed', user: false },
    { to: 'cancelled', user: false },
    { to: 'processing', user: true },
    { to: 'shipped', user: true },
    { to: 'delivered', user: true },
    { to: 'pending', user: false },
  ] as const)('keeps $to from users: $user, and from administrators never', ({ to, user }) => {
    expect(isForbidden('user', to)).toBe(user);
    expect(isForbidden('admin', to)).toBe(false);
  });
});
