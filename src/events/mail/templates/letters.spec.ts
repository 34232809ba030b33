import { shortName } from './letter';
import { letterOf, type MailContent } from './letters';

const ORDER: MailContent<'order_confirmed'> = {
  id: '0199d1a2-7c3e-7b44-9f0e-3a5b1c2d4e6f',
  total_amount: '44.80',
  currency: 'EUR',
  items: [
    { name: 'Blue mug', quantity: 2, line_total: '39.80' },
    { name: 'Cup "Ada" <b> & Söhne', quantity: 1, line_total: '5.00' },
  ],
};
const STOCK: MailContent<'stock_low'> = {
  product_id: '0199d1a2-0000-7b44-9f0e-3a5b1c2d4e6f',
  sku: 'MUG-BLUE',
  name: 'Blue mug',
  available: 4,
  low_stock_threshold: 5,
};

describe('A mail', () => {
  it.each([
    ['order_confirmed', 'is confirmed', 'Thank you for your order. It is confirmed.'],
    ['order_shipped', 'has been shipped', 'Your order has been shipped and is on its way to you.'],
    ['order_delivered', 'has been delivered', 'Your order has been delivered.'],
    ['order_cancelled', 'was cancelled', 'Your order was cancelled.'],
    ['order_expired', 'has expired', 'Your order was not confirmed in time.'],
  ] as const)('of an order tells what has become of it, and of what it is: %s', (kind, what, sentence) => {
    const { subject, text, html } = letterOf(kind, ORDER);
    expect(subject).toBe(`Your order ${ORDER.id} ${what}`);
    expect(text.startsWith(sentence)).toBe(true);
    expect(text).toContain(
      `\n\nOrder: ${ORDER.id}\n2 × Blue mug: 39.80 EUR\n1 × Cup "Ada" <b> & Söhne: 5.00 EUR\nTotal: 44.80 EUR\n`,
    );
    expect(html).toContain(`<p>${sentence}`);
    expect(html).toContain('1 × Cup &quot;Ada&quot; &lt;b&gt; &amp; Söhne<');
    expect(html).not.toContain('<b>');
  });

  it('of stock names the product, what is left of it and its threshold', () => {
    expect(letterOf('stock_low', STOCK)).toMatchObject({
      subject: 'Low stock: Blue mug (MUG-BLUE)',
      text:
        `Only 4 of Blue mug are available.\n\nProduct: Blue mug\nSKU: MUG-BLUE\nId: ${STOCK.product_id}\n` +
        'Available: 4\nCounts as low at: 5\n',
    });
    expect(letterOf('stock_depleted', { ...STOCK, available: 0 })).toMatchObject({
      subject: 'Out of stock: Blue mug (MUG-BLUE)',
      text: expect.stringMatching(/^Nothing of Blue mug is available any more\.\n[^]*\nAvailable: 0\n/),
    });
  });

  it('of an endpoint says which one gets nothing any more, and why', () => {
    const endpoint = { url: 'https://shop.example.com/hook?a=1&b=2', failing_since: '2026-01-31T12:00:00.000Z' };
    const gone = letterOf('webhook_disabled', { ...endpoint, reason: 'gone' });
    expect(gone.subject).toBe('Webhooks stopped: https://shop.example.com/hook?a=1&b=2');
    expect(gone.text).toMatch(/^The endpoint answered 410 Gone and was disabled\.\n/);
    expect(gone.text).toMatch(/\nEndpoint: https:\S+\nFailing since: 2026-01-31T12:00:00.000Z\n$/);
    const { text, html } = letterOf('webhook_disabled', { ...endpoint, reason: 'failing' });
    expect(text).toMatch(/^Nothing has reached the endpoint for days, and it was disabled\.\n/);
    expect(html).toContain('hook?a=1&amp;b=2');
  });

  it('escapes names in HTML, wherever they stand', () => {
    const { html } = letterOf('stock_low', { ...STOCK, name: `</title><script>'x'`, sku: '<i>' });
    expect(html).not.toMatch(/<script|<i>/);
    expect(html.match(/&lt;\/title&gt;&lt;script&gt;&#39;x&#39;/g)).toHaveLength(3);
  });

  it('has names in its subject as one short line', () => {
    expect(shortName('  a\r\nBcc: b@example.com\u2028 \t c ')).toBe('a Bcc: b@example.com c');
    expect(shortName('x'.repeat(80))).toBe('x'.repeat(80));
    expect(shortName('😀'.repeat(81))).toBe(`${'😀'.repeat(79)}…`);
  });
});
