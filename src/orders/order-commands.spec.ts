import { ADA, ADMIN, aHold, aLevel, anOrderOf, aSnapshot, BOB, NOW, thrownBy } from '../../test/support/snapshots';
import type { Change, Decision } from '../platform/batching/command';
import {
  Duplicate,
  Forbidden,
  InvalidTransition,
  NotFound,
  ReservationNotActive,
  VersionMismatch,
} from '../platform/errors/domain-errors';
import { changeOrderStatus } from './change-status';
import { commitReservation } from './commit-reservation';
import type { OrderView } from './order.entity';
import type { OrderStatus } from './order-state';
import { placeOrder } from './place-order';

const levels = [aLevel(3, 2)];
const request = { reservationId: 'hold', caller: ADA, orderId: 'new' };

describe('To place an order of a reservation', () => {
  it('makes it pending, at the price of the hold, which belongs to it now', () => {
    const { changes, answer } = placeOrder.decide(aSnapshot({ holds: [aHold()] }), request);
    expect(changes).toEqual([
      { type: 'reservation.attached', reservation: { ...aHold(), orderId: 'new', updatedAt: NOW } },
      { type: 'order.created', order: expect.objectContaining({ id: 'new', status: 'pending', version: 1 }) },
    ]);
    expect(answer.data).toMatchObject({
      id: 'new',
      reservation_id: 'hold',
      expires_at: aHold().expiresAt.toISOString(),
    });
    expect(answer.extras).toEqual({ version: 1, location: '/api/orders/new' });
  });

  it('is refused if the reservation has an order, or is over', () => {
    const hold = aHold({ orderId: 'order' });
    const taken = aSnapshot({ holds: [hold], orders: [anOrderOf(hold)] });
    expect(thrownBy(() => placeOrder.decide(taken, request))).toBeInstanceOf(Duplicate);
    const over = aSnapshot({ holds: [aHold({ expiresAt: NOW })] });
    expect(thrownBy(() => placeOrder.decide(over, request))).toEqual(new ReservationNotActive('expired'));
  });
});

describe('To commit a reservation', () => {
  it('makes a confirmed order of it, and deducts the stock', () => {
    const { changes, answer } = commitReservation.decide(aSnapshot({ levels, holds: [aHold()] }), request);
    expect(changes).toEqual([
      expect.objectContaining({ type: 'order.created' }),
      expect.objectContaining({ as: 'committed' }),
      expect.objectContaining({ kind: 'commit', availableDelta: 0, reservedDelta: -2, orderId: 'new' }),
      expect.objectContaining({ type: 'order.status_changed', from: 'pending' }),
    ]);
    expect(answer.data).toMatchObject({ id: 'new', status: 'confirmed', version: 2, expires_at: null });
  });

  it('confirms the pending order that it has', () => {
    const hold = aHold({ orderId: 'order' });
    const snapshot = aSnapshot({ levels, holds: [hold], orders: [anOrderOf(hold)] });
    const { changes, answer } = commitReservation.decide(snapshot, request);
    expect(changes.map(({ type }) => type)).toEqual(['reservation.ended', 'stock.moved', 'order.status_changed']);
    expect(answer.data).toMatchObject({ id: 'order', status: 'confirmed' });
  });
});

describe('To change the status of an order', () => {
  const hold = aHold({ orderId: 'order' });
  const decide = (order: Partial<OrderView>, status: OrderStatus, changes = {}, held = hold): Decision => {
    const snapshot = aSnapshot({ levels, holds: [held], orders: [anOrderOf(hold, order)] });
    return changeOrderStatus.decide(snapshot, {
      orderId: 'order',
      caller: ADA,
      status,
      ifMatch: undefined,
      ...changes,
    });
  };

  it.each([
    ['pending', 'confirmed', hold, ['reservation.ended', 'commit', 'order.status_changed']],
    ['pending', 'cancelled', hold, ['reservation.ended', 'release', 'order.status_changed']],
    ['confirmed', 'cancelled', aHold({ ...hold, status: 'committed' }), ['restock', 'order.status_changed']],
    ['confirmed', 'processing', aHold({ ...hold, status: 'committed' }), ['order.status_changed']],
  ] as const)('from %s to %s moves the stock that goes with it', (from, to, held, expected) => {
    const changes: readonly (Change & { kind?: string })[] = decide({ status: from }, to, {}, held).changes;
    expect(changes.map(({ type, kind }) => kind ?? type)).toEqual(expected);
  });

  it('is refused for another version, and where no arrow leads', () => {
    expect(thrownBy(() => decide({ version: 3 }, 'confirmed', { ifMatch: '"2"' }))).toEqual(new VersionMismatch(3));
    expect(thrownBy(() => decide({}, 'shipped'))).toBeInstanceOf(InvalidTransition);
  });

  it('treats a pending order whose hold is over as the cancelled one that it reads as', () => {
    const over = aHold({ ...hold, expiresAt: NOW });
    const act = (status: OrderStatus, ifMatch?: string) => () => decide({}, status, { ifMatch }, over);
    expect(thrownBy(act('confirmed'))).toEqual(new ReservationNotActive('expired'));
    expect(thrownBy(act('cancelled'))).toBeInstanceOf(InvalidTransition);
    expect(thrownBy(act('confirmed', '"1"'))).toEqual(new VersionMismatch(2));
  });

  it('is not for others, and some of it only for administrators', () => {
    const snapshot = aSnapshot({ orders: [anOrderOf(hold)] });
    const check = (caller: typeof ADA, status: OrderStatus) => () =>
      changeOrderStatus.check(snapshot, { orderId: 'order', caller, status, ifMatch: undefined });
    expect(thrownBy(check(BOB, 'confirmed'))).toEqual(new NotFound('order', 'order'));
    expect(thrownBy(check(ADA, 'shipped'))).toBeInstanceOf(Forbidden);
    expect([check(ADA, 'confirmed')(), check(ADMIN, 'shipped')()]).toEqual([undefined, undefined]);
  });
});
