import { anOrder, aProduct, aWarehouse, bring, dataOf, letTimePass } from '../support/factories';
import { MailServer, type ReceivedMail } from '../support/mail-server';
import { aCustomer, queueMails, sendMails } from '../support/mails';
import { Receiver } from '../support/receiver';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIL_FROM = 'The Shop <shop@example.com>';
const ALERT_EMAIL = 'stock@example.com';

let server: MailServer;
let test: TestApp;
beforeAll(async () => {
  server = await MailServer.start();
  test = await startTestApp({ SMTP_URL: server.url, MAIL_FROM, ALERT_EMAIL });
});
beforeEach(() => {
  server.mails.length = 0;
});
afterAll(async () => {
  await test.close();
  await server.stop();
});

/** The mails that a recipient has got, in the order of their subjects. */
async function mailsTo(recipient: string): Promise<ReceivedMail[]> {
  await queueMails(test);
  await sendMails(test);
  const mails = server.mails.filter(({ to }) => to.includes(recipient));
  return mails.sort((left, right) => (left.headers['subject']! < right.headers['subject']! ? -1 : 1));
}

describe('Mails to customers', () => {
  it.each([
    [['confirmed'], ['is confirmed']],
    [
      ['confirmed', 'processing', 'shipped', 'delivered'],
      ['has been delivered', 'has been shipped', 'is confirmed'],
    ],
    [['cancelled'], ['was cancelled']],
  ])('tell what has become of an order that goes through %p', async (statuses, expected) => {
    const { api, email } = await aCustomer(test);
    const product = await aProduct(test, { name: 'Blue mug & <saucer>', price: '19.90' });
    const order = await anOrder(api, product.id, 2);
    await bring(test, order.id, ...statuses);
    const mails = await mailsTo(email);
    expect(mails.map(({ headers }) => headers['subject'])).toEqual(
      expected.map((what) => `Your order ${order.id} ${what}`),
    );
    for (const { from, to, headers, text, html } of mails) {
      expect([from, to]).toEqual(['shop@example.com', [email]]);
      expect(headers).toMatchObject({ from: MAIL_FROM, to: email, 'auto-submitted': 'auto-generated' });
      expect(text).toContain(`Order: ${order.id}\n2 × Blue mug & <saucer>: 39.80 EUR\nTotal: 39.80 EUR\n`);
      expect(html).toContain('2 × Blue mug &amp; &lt;saucer&gt;<');
      const [, eventId] = /^<([\da-f-]{36})@example\.com>$/.exec(headers['message-id']!)!;
      expect(dataOf(await test.admin.get(`/api/events/${eventId}`)).object).toMatchObject({
        type: 'order',
        id: order.id,
      });
    }
  });

  it('tell of a commit, and of a hold that ran out', async () => {
    const { api, email } = await aCustomer(test);
    const product = await aProduct(test);
    const held = dataOf(await api.post('/api/reservations', { product_id: product.id, quantity: 1 }));
    const { id } = dataOf(await api.post(`/api/reservations/${held.id}/commit`));
    const late = await anOrder(api, product.id);
    await letTimePass(test, late.reservation_id);
    await test.sweep();
    const mails = await mailsTo(email);
    expect(mails.map(({ headers }) => headers['subject'])).toEqual(
      [`Your order ${id} is confirmed`, `Your order ${late.id} has expired`].sort(),
    );
    expect(mails.find(({ text }) => text.includes(late.id))!.text).toMatch(/^Your order was not confirmed in time\./);
  });

  it('are not sent to somebody whose address is unknown', async () => {
    const order = await anOrder(test.aUser(), (await aProduct(test)).id);
    await bring(test, order.id, 'confirmed');
    await queueMails(test);
    await sendMails(test);
    expect(server.mails).toEqual([]);
  });

  it('are those of the settings only', async () => {
    const quiet = await startTestApp({ SMTP_URL: server.url, MAIL_FROM, MAIL_CUSTOMERS: 'shipped' });
    try {
      const { api } = await aCustomer(quiet);
      const order = await anOrder(api, (await aProduct(quiet, { initial_stock: 1 })).id);
      await bring(quiet, order.id, 'confirmed', 'processing', 'shipped', 'delivered');
      await queueMails(quiet);
      await sendMails(quiet);
      // Neither is there anybody to be told that the product is sold out.
      expect(server.mails.map(({ headers }) => headers['subject'])).toEqual([
        `Your order ${order.id} has been shipped`,
      ]);
    } finally {
      await quiet.close();
    }
  });
});

describe('Mails to the address for alerts', () => {
  it('tell which product is low and which is sold out', async () => {
    const product = await aProduct(test, { name: 'Blue mug', low_stock_threshold: 5 });
    await queueMails(test);
    dataOf(await test.aUser().post('/api/reservations', { product_id: product.id, quantity: 6 }));
    const [low] = await mailsTo(ALERT_EMAIL);
    expect(low!.headers['subject']).toBe(`Low stock: Blue mug (${product.sku})`);
    expect(low!.text).toContain(`SKU: ${product.sku}\nId: ${product.id}\nAvailable: 4\nCounts as low at: 5\n`);
    dataOf(await test.aUser().post('/api/reservations', { product_id: product.id, quantity: 4 }));
    const [, depleted] = await mailsTo(ALERT_EMAIL);
    expect(depleted!.headers['subject']).toBe(`Out of stock: Blue mug (${product.sku})`);
    expect(depleted!.html).toContain(product.sku);
  });

  it('tell which endpoint of webhooks was disabled', async () => {
    const receiver = await Receiver.start();
    try {
      receiver.answers(410);
      dataOf(await test.admin.post('/api/webhook-endpoints', { url: receiver.url, types: ['warehouse.created'] }));
      await aWarehouse(test);
      await test.sendWebhooks();
      const mails = await mailsTo(ALERT_EMAIL);
      expect(mails.map(({ headers }) => headers['subject'])).toEqual([`Webhooks stopped: ${receiver.url}`]);
      expect(mails[0]!.text).toMatch(/^The endpoint answered 410 Gone and was disabled\.\n/);
    } finally {
      await receiver.stop();
    }
  });

  it('have one short line as subject, whatever a product is called', async () => {
    const product = await aProduct(test, { name: `${'ß'.repeat(199)}\u2028`, low_stock_threshold: 20 });
    await queueMails(test);
    dataOf(await test.aUser().post('/api/reservations', { product_id: product.id, quantity: 10 }));
    const [mail] = await mailsTo(ALERT_EMAIL);
    expect(mail!.headers['subject']).toBe(`Out of stock: ${'ß'.repeat(79)}… (${product.sku})`);
    expect(mail!.to).toEqual([ALERT_EMAIL]);
  });
});
