import type { Letter } from './letter';

export interface MailedOrder {
  readonly id: string;
  readonly total_amount: string;
  readonly currency: string;
  readonly items: readonly { readonly name: string; readonly quantity: number; readonly line_total: string }[];
}

export const ORDER_LETTERS = {
  order_confirmed: (order: MailedOrder): Letter =>
    about(order, 'is confirmed', 'Thank you for your order. It is confirmed.'),

  order_shipped: (order: MailedOrder): Letter =>
    about(order, 'has been shipped', 'Your order has been shipped and is on its way to you.'),

  order_delivered: (order: MailedOrder): Letter => about(order, 'has been delivered', 'Your order has been delivered.'),

  order_cancelled: (order: MailedOrder): Letter => about(order, 'was cancelled', 'Your order was cancelled.'),

  order_expired: (order: MailedOrder): Letter =>
    about(
      order,
      'has expired',
      'Your order was not confirmed in time. Its items are no longer held for you, and the order was cancelled. ' +
        'If you still want them, please order again.',
    ),
};

function about({ id, items, total_amount, currency }: MailedOrder, what: string, paragraph: string): Letter {
  const lines = items.map((item) => [`${item.quantity} × ${item.name}`, `${item.line_total} ${currency}`] as const);
  return {
    subject: `Your order ${id} ${what}`,
    paragraphs: [paragraph],
    rows: [['Order', id], ...lines, ['Total', `${total_amount} ${currency}`]],
  };
}
