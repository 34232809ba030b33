import {
  anOrder,
  aProduct,
  aReservation,
  aWarehouse,
  bring,
  dataOf,
  letTimePass,
  type Product,
  stockUp,
} from '../support/factories';
import { inTurns, storm } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const TYPES = 'stock.low,stock.depleted,stock.replenished';

describe('Alerts of stock, in two processes', () => {
  let test: TestApp;
  let other: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
    other = await startTestApp({}, test.database);
  });
  afterAll(async () => {
    await other.close();
    await test.close();
  });

  /** Until all that has happened is judged, by whichever process comes to it, and told. */
  async function settle(): Promise<void> {
    await Promise.all([test.judgeStock(), other.judgeStock()]);
    await test.judgeStock();
    await test.tick();
  }

  /** What was told of a product, oldest first. */
  async function eventsOf({
    id,
  }: Product): Promise<{ type: string; actor: string; data: object; request_id: string }[]> {
    return dataOf(
      await test.admin.get(`/api/events?after=beginning&types=${TYPES}&object_type=product&object_id=${id}`),
    );
  }

  async function toldOf(product: Product): Promise<string[]> {
    await settle();
    return (await eventsOf(product)).map(({ type }) => type);
  }

  const change = async ({ id }: Product, body: object): Promise<void> =>
    dataOf(await test.admin.patch(`/api/products/${id}`, body));

  it('tell once that a product is low and once that it is sold out, however many buy it and whoever judges', async () => {
    const product = await aProduct(test, { initial_stock: 40, low_stock_threshold: 5 });
    let isSelling = true;
    const judging = [test, other].map(async (process) => {
      while (isSelling) {
        await process.judgeStock();
      }
    });
    await storm(20, (index) =>
      inTurns(2, () => aReservation(test.aUser().at([test, other][index % 2]!.url), product.id)),
    );
    isSelling = false;
    await Promise.all(judging);
    expect(await toldOf(product)).toEqual(['stock.low', 'stock.depleted']);
    const [low, depleted] = await eventsOf(product);
    expect(low).toMatchObject({ actor: 'system:stock-alerts', data: { old: null, new: { low_stock_threshold: 5 } } });
    expect(depleted).toMatchObject({
      actor: 'system:stock-alerts',
      object: { type: 'product', id: product.id },
      data: { old: null, new: { available: 0, low_stock_threshold: 5 } },
    });
    expect(depleted).not.toHaveProperty('object.version');

    await storm(20, (index) => stockUp([test, other][index % 2]!, product.id, 1));
    expect((await toldOf(product)).slice(2)).toEqual(['stock.replenished']);
    expect((await eventsOf(product))[2]!.data).toMatchObject({ new: { available: 20 } });
  });

  it('tell both in order of a product that is sold out at once', async () => {
    const product = await aProduct(test, { low_stock_threshold: 3 });
    await settle();
    await aReservation(test.aUser(), product.id, { quantity: 10 });
    expect(await toldOf(product)).toEqual(['stock.low', 'stock.depleted']);
    const [low, depleted] = await eventsOf(product);
    expect(low!.request_id).toBe(depleted!.request_id);
  });

  it('tell nothing of stock that goes up and down around its threshold', async () => {
    const product = await aProduct(test, { initial_stock: 21, low_stock_threshold: 20 });
    const told: string[][] = [];
    for (const delta of [-1, 1, -1, 2, -3, 4, -4, 3, -22, 1, -1, 2, 25]) {
      await stockUp(test, product.id, delta);
      told.push(await toldOf(product));
    }
    const low = ['stock.low'];
    const again = [...low, 'stock.replenished', ...low];
    const out = [...again, 'stock.depleted'];
    expect(told).toEqual([
      ...[low, low, low, low, low, again.slice(0, 2), again, again],
      ...[out, out, out, out, [...out, 'stock.replenished']],
    ]);
  });

  it('count what overdue holds have as available', async () => {
    const product = await aProduct(test, { initial_stock: 5, low_stock_threshold: 2 });
    const hold = await aReservation(test.aUser(), product.id, { quantity: 4 });
    await letTimePass(test, hold.id);
    expect(await toldOf(product)).toEqual([]);
    await test.sweep();
    expect(await toldOf(product)).toEqual([]);

    const next = await aReservation(test.aUser(), product.id, { quantity: 5 });
    expect(await toldOf(product)).toEqual(['stock.low', 'stock.depleted']);
    await letTimePass(test, next.id);
    await change(product, { name: 'Red mug' });
    expect((await toldOf(product)).slice(2)).toEqual(['stock.replenished']);
    expect((await eventsOf(product))[2]!.data).toMatchObject({ new: { available: 5 } });
  });

  it('judge a changed threshold like changed stock', async () => {
    const product = await aProduct(test, { low_stock_threshold: 3 });
    expect(await toldOf(product)).toEqual([]);
    await change(product, { low_stock_threshold: 10 });
    expect(await toldOf(product)).toEqual(['stock.low']);
    await change(product, { low_stock_threshold: 9 });
    expect(await toldOf(product)).toEqual(['stock.low']);
    await change(product, { low_stock_threshold: 8 });
    expect(await toldOf(product)).toEqual(['stock.low', 'stock.replenished']);
  });

  it('judge many products in one run', async () => {
    const products = await storm(30, (index) =>
      aProduct(test, { initial_stock: 2 + (index % 2), low_stock_threshold: 1 }),
    );
    await settle();
    const items = products.map(({ id }) => ({ product_id: id, quantity: 2 }));
    dataOf(await test.aUser().post('/api/reservations', { items }));
    await settle();
    const told = await Promise.all(products.map(eventsOf));
    const types = told.map((events) => events.map(({ type }) => type));
    expect(types).toEqual(products.map((_, index) => (index % 2 ? ['stock.low'] : ['stock.low', 'stock.depleted'])));
    expect(new Set(told.flat().map(({ request_id }) => request_id)).size).toBe(1);
  });

  it('begin with the stock that a product is created with', async () => {
    const empty = await aProduct(test, { initial_stock: 0, low_stock_threshold: 5 });
    const [low, sold] = [await aProduct(test, { low_stock_threshold: 20 }), await aProduct(test)];
    await aReservation(test.aUser(), sold.id, { quantity: 10 });
    await settle();
    expect(await toldOf(empty)).toEqual([]);
    expect(await toldOf(low)).toEqual([]);
    expect(await toldOf(sold)).toEqual(['stock.depleted']);
    await stockUp(test, empty.id, 6);
    await stockUp(test, low.id, -10);
    expect(await toldOf(empty)).toEqual([]);
    expect(await toldOf(low)).toEqual(['stock.depleted']);
    await stockUp(test, empty.id, 1);
    expect(await toldOf(empty)).toEqual(['stock.replenished']);
  });

  it('tell nothing of inactive products, and what has become of one when it is active again', async () => {
    const product = await aProduct(test, { low_stock_threshold: 5 });
    await settle();
    await change(product, { is_active: false });
    await stockUp(test, product.id, -10);
    expect(await toldOf(product)).toEqual([]);
    await change(product, { is_active: true });
    expect(await toldOf(product)).toEqual(['stock.low', 'stock.depleted']);
  });

  it('follow everything that gives pieces back', async () => {
    const [user, product] = [test.aUser(), await aProduct(test)];
    await settle();
    const told = (times: number): string[] =>
      Array<string[]>(times).fill(['stock.depleted', 'stock.replenished']).flat();
    const hold = await aReservation(user, product.id, { quantity: 10 });
    await settle();
    dataOf(await user.post(`/api/reservations/${hold.id}/cancel`));
    expect(await toldOf(product)).toEqual(told(1));

    const order = await anOrder(user, product.id, 10);
    await settle();
    await bring(test, order.id, 'confirmed', 'cancelled');
    expect(await toldOf(product)).toEqual(told(2));

    const late = await aReservation(user, product.id, { quantity: 10 });
    await settle();
    await letTimePass(test, late.id);
    await test.sweep();
    expect(await toldOf(product)).toEqual(told(3));
  });

  it('look at all warehouses together', async () => {
    const [product, warehouse] = [await aProduct(test, { low_stock_threshold: 9 }), await aWarehouse(test)];
    const transfer = { product_id: product.id, from_warehouse_id: '00000000-0000-7000-8000-000000000001' };
    dataOf(await test.admin.post('/api/stock-transfers', { ...transfer, to_warehouse_id: warehouse.id, quantity: 9 }));
    dataOf(await test.admin.patch(`/api/warehouses/${warehouse.id}`, { is_active: false }));
    expect(await toldOf(product)).toEqual([]);
    await stockUp(test, product.id, -1, warehouse.id);
    expect(await toldOf(product)).toEqual(['stock.low']);
  });

  it('cause nothing further', async () => {
    const product = await aProduct(test);
    await aReservation(test.aUser(), product.id, { quantity: 10 });
    expect(await toldOf(product)).toEqual(['stock.depleted']);
    await test.judgeStock();
    expect(await test.tick()).toBe(false);
  });
});
