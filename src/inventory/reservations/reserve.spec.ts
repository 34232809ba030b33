import { aLevel, aSnapshot, NOW, seconds, thrownBy } from '../../../test/support/snapshots';
import { LookAgain } from '../../platform/batching/in-parts';
import { InsufficientStock, NotFound } from '../../platform/errors/domain-errors';
import { Answer } from '../../platform/http/answer';
import { keyOf } from '../stock/stock.locks';
import { reserve, type ReserveRequest } from './reserve';

const aRequest = (quantity: number, changes: Partial<ReserveRequest> = {}): ReserveRequest => ({
  id: 'new',
  userId: 'ada',
  lines: [{ productId: 'mug', quantity, prefix: '' }],
  ttlSeconds: 600,
  orderId: null,
  conclude: ({ id }) => ({ changes: [{ type: 'order.created' }], answer: new Answer({ id }) }),
  ...changes,
});
const short = (requested: number, available: number): InsufficientStock =>
  new InsufficientStock([{ product_id: 'mug', requested, available }]);

describe('To reserve', () => {
  it('takes what is available, at the price and until the time of the moment', () => {
    const snapshot = aSnapshot({ levels: [aLevel(5, 1)] });
    const { changes, answer } = reserve.decide(snapshot, aRequest(2));
    const reservation = {
      id: 'new',
      userId: 'ada',
      status: 'active',
      orderId: null,
      currency: 'EUR',
      totalAmount: '10.00',
      items: [{ productId: 'mug', warehouseId: 'main', quantity: 2, sku: 'MUG', name: 'Mug', unitPrice: '5.00' }],
      expiresAt: seconds(600),
      createdAt: NOW,
      updatedAt: NOW,
    };
    expect(changes).toEqual([
      { type: 'order.created' },
      { type: 'reservation.created', reservation },
      expect.objectContaining({
        type: 'stock.moved',
        kind: 'reserve',
        availableDelta: -2,
        reservedDelta: 2,
        availableAfter: 3,
        reservedAfter: 3,
        reservationId: 'new',
      }),
    ]);
    expect(answer.data).toEqual({ id: 'new' });
  });

  it('leaves the snapshot as it is', () => {
    const snapshot = aSnapshot({ levels: [aLevel(5)] });
    reserve.decide(snapshot, aRequest(5));
    expect(() => reserve.check(snapshot, aRequest(5))).not.toThrow();
  });

  it('is refused without a lock by what there is, and by what is unknown', () => {
    const seen = aSnapshot({ levels: [aLevel(3)] });
    expect(thrownBy(() => reserve.check(seen, aRequest(4)))).toEqual(short(4, 3));
    const unknown = aRequest(1, { lines: [{ productId: 'hat', quantity: 1, prefix: '' }] });
    expect(thrownBy(() => reserve.check(seen, unknown))).toBeInstanceOf(NotFound);
  });

  it('is refused under the locks by what those before it have left', () => {
    expect(thrownBy(() => reserve.decide(aSnapshot({ levels: [aLevel(1)] }), aRequest(2)))).toEqual(short(2, 1));
  });

  it('asks for overdue holds to be ended first where they change what it gets, and looks again if they come up later', () => {
    const levels = [aLevel(0, 4), aLevel(9, 0, 'far')];
    const snapshot = aSnapshot({ levels, overdue: new Map([[keyOf(aLevel(0)), 4]]) });
    expect(reserve.prerequisites!(snapshot, aRequest(4))).toEqual(['mug']);
    expect(thrownBy(() => reserve.decide(snapshot, aRequest(4)))).toBeInstanceOf(LookAgain);
    const ample = aSnapshot({ levels: [aLevel(9, 4)], overdue: new Map([[keyOf(aLevel(0)), 4]]) });
    expect(reserve.prerequisites!(ample, aRequest(4))).toEqual([]);
  });

  it('stands in line for each of its products once', () => {
    const lines = ['mug', 'pen', 'mug'].map((productId) => ({ productId, quantity: 1, prefix: '' }));
    expect(reserve.orderingKeys(aRequest(1, { lines }))).toEqual(['mug', 'pen']);
  });
});
