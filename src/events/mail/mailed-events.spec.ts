import { mailedTypes, mailKindOf } from './mailed-events';

const ALL = ['confirmed', 'shipped', 'delivered', 'cancelled', 'expired'] as ('confirmed' | 'shipped')[];
const USER = 'user:0199d1a2-7c3e-7b44-9f0e-3a5b1c2d4e6f';
const EXPIRY = 'system:reservation-expiry';

describe('The mail of an event', () => {
  it.each([
    [USER, 'confirmed', 'order_confirmed'],
    [USER, 'shipped', 'order_shipped'],
    [USER, 'delivered', 'order_delivered'],
    [USER, 'cancelled', 'order_cancelled'],
    [EXPIRY, 'cancelled', 'order_expired'],
    [USER, 'processing', undefined],
  ])('of an order that %s has brought to %s is %s', (actor, status, kind) => {
    const event = { action: 'order.status_changed', actor, newValue: { status } };
    expect(mailKindOf(event, ALL)).toBe(kind);
    expect(mailKindOf(event, [])).toBeUndefined();
  });

  it('is of what customers are to be told only', () => {
    const cancelled = (actor: string) => ({ action: 'order.status_changed', actor, newValue: { status: 'cancelled' } });
    expect(mailKindOf(cancelled(EXPIRY), ['cancelled'])).toBeUndefined();
    expect(mailKindOf(cancelled(USER), ['expired'])).toBeUndefined();
  });

  it('is one of stock that is low or depleted and of endpoints that were disabled, whatever customers are told', () => {
    const of = (action: string): string | undefined =>
      mailKindOf({ action, actor: 'system:stock-alerts', newValue: {} }, []);
    const [told, others] = [
      ['stock.low', 'stock.depleted', 'webhook_endpoint.disabled'],
      ['stock.replenished', 'order.created', 'webhook_endpoint.updated'],
    ];
    expect(told.map(of)).toEqual(['stock_low', 'stock_depleted', 'webhook_disabled']);
    expect(others.map(of)).toEqual([undefined, undefined, undefined]);
  });

  it('is looked for only where somebody wants one', () => {
    expect(mailedTypes({ mailCustomers: [], alertEmail: undefined })).toEqual([]);
    expect(mailedTypes({ mailCustomers: ['shipped'], alertEmail: undefined })).toEqual(['order.status_changed']);
    expect(mailedTypes({ mailCustomers: [], alertEmail: 'a@example.com' })).toEqual([
      ...['stock.low', 'stock.depleted', 'webhook_endpoint.disabled'],
    ]);
  });
});
