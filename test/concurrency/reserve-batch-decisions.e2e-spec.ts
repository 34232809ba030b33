import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { inOneBatch, metricOf } from '../support/batches';
import {
  anOrder,
  aProduct,
  aReservation,
  aWarehouse,
  dataOf,
  expectReconciled,
  letTimePass,
  stockOf,
  stockUp,
} from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';

const reserve = (buyer: Api, productId: string, quantity = 1, requestId = randomUUID()): Promise<Reply> =>
  buyer.post('/api/reservations', { product_id: productId, quantity }, { 'X-Request-Id': requestId });

/** `201`, or what is missing. */
const answers = (replies: readonly Reply[]): unknown[] =>
  replies.map(({ status, body }) => (status === 201 ? 201 : body.shortages));
const short = (productId: string, requested: number, available: number): object[] => [
  { product_id: productId, requested, available },
];

describe('One batch', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  it('gives the last pieces to those who came first', async () => {
    const product = await aProduct(test, { initial_stock: 5 });
    const buyers = Array.from({ length: 12 }, () => test.aUser());
    const locked = (): Promise<number> => metricOf(test, 'holdfast_batch_lock_wait_seconds_count');
    const before = await locked();
    const { replies } = await inOneBatch(
      test,
      buyers.map((buyer) => () => reserve(buyer, product.id)),
    );
    expect(answers(replies)).toEqual(buyers.map((_, index) => (index < 5 ? 201 : short(product.id, 1, 0))));
    expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 5, total: 5 });
    // One transaction for all, after those of the two requests that kept them waiting.
    expect(await locked()).toBe(before + 3);
  });

  it('gives a basket whole or not at all, and lets a smaller one behind it have what is left', async () => {
    const [plenty, scarce] = [await aProduct(test, { initial_stock: 6 }), await aProduct(test, { initial_stock: 3 })];
    const basket = (many: number, few: number): Promise<Reply> => {
      const items = [
        { product_id: plenty.id, quantity: many },
        { product_id: scarce.id, quantity: few },
      ].filter(({ quantity }) => quantity > 0);
      return test.aUser().post('/api/reservations', { items });
    };
    const { replies, written } = await inOneBatch(test, [
      () => basket(2, 2),
      () => basket(3, 2),
      () => basket(4, 1),
      () => basket(0, 2),
      () => basket(1, 0),
    ]);
    expect(answers(replies)).toEqual([
      201,
      short(scarce.id, 2, 1),
      201,
      short(scarce.id, 2, 0),
      short(plenty.id, 1, 0),
    ]);
    expect(written).toEqual({ reservations: 2, reservation_items: 4, stock_movements: 4, audit_logs: 2 });
    expect(await stockOf(test, plenty.id)).toEqual({ available: 0, reserved: 6, total: 6 });
    expect(await stockOf(test, scarce.id)).toEqual({ available: 0, reserved: 3, total: 3 });
  });

  it('serves whole from the next warehouse what the first cannot any more, and splits only what none has', async () => {
    const [product, other] = [await aProduct(test, { initial_stock: 3 }), await aWarehouse(test)];
    await stockUp(test, product.id, 4, other.id);
    const { replies } = await inOneBatch(
      test,
      [2, 2, 3, 1].map((quantity) => () => reserve(test.aUser(), product.id, quantity)),
    );
    const sources = replies
      .slice(0, 3)
      .map((reply) => dataOf(reply).items.map((item: { warehouse_id: string; quantity: number }) => item))
      .map((items: { warehouse_id: string; quantity: number }[]) =>
        Object.fromEntries(items.map(({ warehouse_id: id, quantity }) => [id, quantity])),
      );
    expect(sources).toEqual([{ [MAIN]: 2 }, { [other.id]: 2 }, { [MAIN]: 1, [other.id]: 2 }]);
    expect(answers(replies.slice(3))).toEqual([short(product.id, 1, 0)]);
    expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 7, total: 7 });
  });

  it('sells at the price of its moment, not of the arrival, and that price is held', async () => {
    const [product, buyer] = [await aProduct(test), test.aUser()];
    const price = async (amount: string): Promise<unknown> =>
      dataOf(await test.admin.patch(`/api/products/${product.id}`, { price: amount }));
    const early = dataOf(await reserve(buyer, product.id));
    const { replies } = await inOneBatch(
      test,
      [
        () => reserve(buyer, product.id, 2),
        () => buyer.post('/api/orders', { items: [{ product_id: product.id, quantity: 3 }] }),
      ],
      () => price('24.50'),
    );
    expect(replies.map((reply) => dataOf(reply).total_amount)).toEqual(['49.00', '73.50']);
    await price('1.00');
    const held = dataOf(await buyer.get(`/api/reservations/${replies[0]!.body.data.id}`));
    expect([held.total_amount, held.items[0].unit_price]).toEqual(['49.00', '24.50']);
    expect(dataOf(await buyer.get(`/api/reservations/${early.id}`)).total_amount).toBe('19.90');
    expect(dataOf(await buyer.get(`/api/orders/${replies[1]!.body.data.id}`)).total_amount).toBe('73.50');
  });

  it('holds from its own moment on, not from the arrival', async () => {
    const [product, buyer] = [await aProduct(test), test.aUser()];
    let queuedAt = new Date(0);
    const { replies } = await inOneBatch(
      test,
      [1, 60].map(
        (ttl_seconds) => () => buyer.post('/api/reservations', { product_id: product.id, quantity: 1, ttl_seconds }),
      ),
      async () => {
        const [row] = await test.database.query<{ now: Date }>('SELECT clock_timestamp() AS now');
        queuedAt = row!.now;
      },
    );
    const [first, second] = replies.map((reply) => dataOf(reply));
    expect(Date.parse(first.created_at)).toBeGreaterThanOrEqual(queuedAt.getTime());
    expect(second.created_at).toBe(first.created_at);
    expect([first, second].map((one) => Date.parse(one.expires_at) - Date.parse(one.created_at))).toEqual([
      1000, 60_000,
    ]);
  });

  describe('that falls short', () => {
    /** What was expired, by whom and in which request. */
    const expiries = (reservationIds: string[]): Promise<object[]> =>
      test.database.query(
        `SELECT DISTINCT log.actor, log.request_id AS "requestId", movement.actor AS mover,
           movement.request_id AS "movedIn"
         FROM audit_logs AS log JOIN stock_movements AS movement ON movement.reservation_id = log.object_id
         WHERE log.action = 'reservation.expired' AND movement.kind = 'expire' AND log.object_id = ANY($1)`,
        [reservationIds],
      );

    it('takes back the overdue holds on its products at once, in the name of a request of its own', async () => {
      const [product, buyer] = [await aProduct(test, { initial_stock: 4 }), test.aUser()];
      const order = await anOrder(buyer, product.id);
      const overdue = [order.reservation_id];
      for (const _ of [1, 2]) {
        overdue.push((await aReservation(buyer, product.id)).id);
      }
      for (const id of overdue) {
        await letTimePass(test, id);
      }
      const ids = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
      const { replies } = await inOneBatch(
        test,
        ids.map((id, index) => () => reserve(test.aUser(), product.id, index === 1 ? 2 : 1, id)),
      );
      expect(answers(replies)).toEqual([201, 201, 201, short(product.id, 1, 0)]);
      const by = 'system:reservation-expiry';
      expect(await expiries(overdue)).toEqual([{ actor: by, requestId: ids[1], mover: by, movedIn: ids[1] }]);
      expect(dataOf(await buyer.get(`/api/orders/${order.id}`)).status).toBe('cancelled');
      expect(dataOf(await buyer.get(`/api/orders/${order.id}/history`))).toMatchObject([
        { from: 'pending', to: 'cancelled', actor: by },
      ]);
      expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 4, total: 4 });
    });

    it('takes them back as well if it is only together that its requests lack something', async () => {
      const [product, buyer] = [await aProduct(test, { initial_stock: 2 }), test.aUser()];
      const { id: overdue } = await aReservation(buyer, product.id);
      await letTimePass(test, overdue);
      const ids = [randomUUID(), randomUUID(), randomUUID()];
      const { replies } = await inOneBatch(
        test,
        ids.map((id) => () => reserve(test.aUser(), product.id, 1, id)),
      );
      expect(answers(replies)).toEqual([201, 201, short(product.id, 1, 0)]);
      const by = 'system:reservation-expiry';
      expect(await expiries([overdue])).toEqual([{ actor: by, requestId: ids[1], mover: by, movedIn: ids[1] }]);
    });

    it('leaves overdue holds alone that have nothing of what it lacks', async () => {
      const [wanted, other] = [await aProduct(test, { initial_stock: 1 }), await aProduct(test)];
      const { id: overdue } = await aReservation(test.aUser(), other.id);
      await letTimePass(test, overdue);
      const { replies } = await inOneBatch(
        test,
        [1, 1].map((quantity) => () => reserve(test.aUser(), wanted.id, quantity)),
      );
      expect(answers(replies)).toEqual([201, short(wanted.id, 1, 0)]);
      expect(await expiries([overdue])).toEqual([]);
    });
  });
});
