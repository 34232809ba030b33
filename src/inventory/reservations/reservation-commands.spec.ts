import {
  ADA,
  ADMIN,
  aHold,
  aLevel,
  anOrderOf,
  aSnapshot,
  BOB,
  NOW,
  seconds,
  thrownBy,
} from '../../../test/support/snapshots';
import { LookAgain } from '../../platform/batching/in-parts';
import { NotFound, ReservationNotActive } from '../../platform/errors/domain-errors';
import { cancelReservation } from './cancel-reservation';
import { expireReservation } from './expire-reservations';
import { extendReservation } from './extend-reservation';

const cancel = { reservationId: 'hold', caller: ADA };
const levels = [aLevel(3, 2)];
const moved = (kind: string, available: number, reserved: number): unknown =>
  expect.objectContaining({ type: 'stock.moved', kind, availableDelta: available, reservedDelta: reserved });

describe('To cancel a reservation', () => {
  it('gives its pieces back, and cancels the pending order behind it', () => {
    const hold = aHold({ orderId: 'order' });
    const snapshot = aSnapshot({ levels, holds: [hold], orders: [anOrderOf(hold)] });
    const { changes, answer } = cancelReservation.decide(snapshot, cancel);
    const reservation = { ...hold, status: 'cancelled', updatedAt: NOW };
    expect(changes).toEqual([
      { type: 'reservation.ended', before: hold, reservation, as: 'cancelled' },
      moved('release', 2, -2),
      expect.objectContaining({
        type: 'order.status_changed',
        from: 'pending',
        reason: 'the reservation was cancelled',
      }),
    ]);
    expect(answer.data).toMatchObject({ id: 'hold', status: 'cancelled', updated_at: NOW.toISOString() });
  });

  it('leaves an order alone that is no longer pending', () => {
    const hold = aHold({ orderId: 'order' });
    const orders = [anOrderOf(hold, { status: 'cancelled' })];
    const { changes } = cancelReservation.decide(aSnapshot({ levels, holds: [hold], orders }), cancel);
    expect(changes.map(({ type }) => type)).toEqual(['reservation.ended', 'stock.moved']);
  });

  it.each([
    ['committed', aHold({ status: 'committed' }), 'committed'],
    ['over, to the millisecond', aHold({ expiresAt: NOW }), 'expired'],
  ])('is refused if it is %s', (_, hold, status) => {
    const error = thrownBy(() => cancelReservation.decide(aSnapshot({ levels, holds: [hold] }), cancel));
    expect(error).toEqual(new ReservationNotActive(status));
  });

  it('looks again if it has come to belong to an order that is not locked', () => {
    const snapshot = aSnapshot({ levels, holds: [aHold({ orderId: 'made since' })] });
    expect(thrownBy(() => cancelReservation.decide(snapshot, cancel))).toBeInstanceOf(LookAgain);
  });

  it('is for its owner and for administrators; others are told that there is none', () => {
    const snapshot = aSnapshot({ holds: [aHold()] });
    const check = (caller: typeof ADA): void => cancelReservation.check(snapshot, { ...cancel, caller });
    expect([check(ADA), check(ADMIN)]).toEqual([undefined, undefined]);
    expect(thrownBy(() => check(BOB))).toEqual(new NotFound('reservation', 'hold'));
    expect(thrownBy(() => cancelReservation.check(aSnapshot({}), cancel))).toEqual(new NotFound('reservation', 'hold'));
  });
});

describe('To expire a reservation', () => {
  it('ends it at the end of its time, and its order with it', () => {
    const hold = aHold({ orderId: 'order', expiresAt: seconds(-5) });
    const snapshot = aSnapshot({ levels, holds: [hold], orders: [anOrderOf(hold)] });
    const { changes, answer } = expireReservation.decide(snapshot, { id: 'hold' });
    expect(changes).toEqual([
      expect.objectContaining({ as: 'expired', reservation: { ...hold, status: 'expired', updatedAt: seconds(-5) } }),
      moved('expire', 2, -2),
      expect.objectContaining({
        reason: 'the reservation expired',
        order: expect.objectContaining({ status: 'cancelled', version: 2, updatedAt: seconds(-5) }),
      }),
    ]);
    expect(answer.data).toEqual({ isExpired: true });
  });

  it.each([
    ['is not over', [aHold({ expiresAt: seconds(0.001) })]],
    ['has ended', [aHold({ status: 'cancelled', expiresAt: seconds(-5) })]],
    ['is not there', []],
  ])('does nothing if it %s', (_, holds) => {
    const { changes, answer } = expireReservation.decide(aSnapshot({ levels, holds }), { id: 'hold' });
    expect([changes, answer.data]).toEqual([[], { isExpired: false }]);
  });
});

describe('To extend a reservation', () => {
  const extended = (ttlSeconds: number, maxTtlSeconds: number, hold = aHold()): Date => {
    const request = { ...cancel, ttlSeconds, maxTtlSeconds };
    const { changes } = extendReservation.decide(aSnapshot({ holds: [hold] }), request);
    expect(changes).toEqual([expect.objectContaining({ type: 'reservation.extended', before: hold })]);
    return (changes[0] as unknown as { reservation: { expiresAt: Date } }).reservation.expiresAt;
  };

  it('lets it end so many seconds from now, sooner as well', () => {
    expect([extended(900, 3600), extended(30, 3600)]).toEqual([seconds(900), seconds(30)]);
  });

  it('lets it last no longer than its lifetime in all, which counts from when it was made', () => {
    expect(extended(3600, 3600)).toEqual(seconds(3540));
  });

  it('ends none that is running because the lifetime was configured shorter meanwhile', () => {
    expect(extended(600, 30)).toEqual(aHold().expiresAt);
  });

  it('is refused when it is over', () => {
    const snapshot = aSnapshot({ holds: [aHold({ expiresAt: NOW })] });
    const request = { ...cancel, ttlSeconds: 60, maxTtlSeconds: 3600 };
    expect(thrownBy(() => extendReservation.decide(snapshot, request))).toEqual(new ReservationNotActive('expired'));
  });
});
