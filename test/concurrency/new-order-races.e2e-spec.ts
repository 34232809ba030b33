import { type Api, type Reply } from '../support/api';
import { createDatabase, type TestDatabase } from '../support/database';
import { aProduct, aReservation, dataOf, expectReconciled, stockOf } from '../support/factories';
import { inLine, storm, tally, until, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const LOCK_LEVELS = 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE';
const ORDER_OF = 'SELECT status, version FROM orders WHERE reservation_id = $1';
const LOCK_RESERVATION = 'SELECT FROM reservations WHERE id = $1 FOR UPDATE';

const SOLD = { available: 9, reserved: 0, total: 9 };
const HELD = { available: 9, reserved: 1, total: 10 };
const FREE = { available: 10, reserved: 0, total: 10 };

let database: TestDatabase;
let test: TestApp;
let twin: TestApp;
beforeAll(async () => {
  database = await createDatabase();
  test = await startTestApp({ DATABASE_POOL_SIZE: '20' }, database);
  twin = await startTestApp({}, database);
});
afterEach(() => expectReconciled(test));
afterAll(async () => {
  await Promise.all([test.close(), twin.close()]);
  await database.drop();
});

describe('Races to make an order from one reservation', () => {
  async function aHold(): Promise<{ user: Api; productId: string; id: string }> {
    const [product, user] = [await aProduct(test), test.aUser()];
    return { user, productId: product.id, id: (await aReservation(user, product.id)).id };
  }

  const order = (user: Api, id: string): Promise<Reply> => user.post('/api/orders', { reservation_id: id });
  const end = (user: Api, id: string, action: string): Promise<Reply> => user.post(`/api/reservations/${id}/${action}`);
  const queued = (id: string, attempts: (() => Promise<Reply>)[]): Promise<Reply[]> =>
    inLine(database, { sql: LOCK_RESERVATION, values: [id] }, attempts);
  const ordersOf = (id: string): Promise<{ id: string; status: string }[]> =>
    database.query('SELECT id, status FROM orders WHERE reservation_id = $1', [id]);

  it('makes one order when 20 ask at once', async () => {
    const { user, productId, id } = await aHold();
    expect(tally(await storm(20, () => order(user, id)))).toEqual({ '201': 1, '409 duplicate': 19 });
    expect(await ordersOf(id)).toHaveLength(1);
    expect(await stockOf(test, productId)).toEqual(HELD);
  });

  it('makes one order for the first in line, and names the reservation to the second', async () => {
    const { user, id } = await aHold();
    const replies = await queued(id, [() => order(user, id), () => order(test.admin.at(twin.url), id)]);
    expect(replies.map(({ status }) => status)).toEqual([201, 409]);
    expect(replies[1]!.body).toMatchObject({ code: 'duplicate', field: 'reservation_id' });
    expect(await ordersOf(id)).toHaveLength(1);
  });

  it('has one confirmed order when commits and new orders race for it', async () => {
    const { user, productId, id } = await aHold();
    const replies = await storm(20, (index) => (index % 2 ? order(user, id) : end(user, id, 'commit')));
    const made = replies.filter(({ status }) => status === 201).map((reply) => dataOf(reply));
    expect(made.filter(({ status }) => status === 'confirmed')).toHaveLength(1);
    expect(new Set(made.map((one) => one.id)).size).toBe(1);
    expect(replies.filter(({ status }) => status !== 201 && status !== 409)).toEqual([]);
    expect(await ordersOf(id)).toEqual([{ id: made[0].id, status: 'confirmed' }]);
    expect(await stockOf(test, productId)).toEqual(SOLD);
  });

  it('confirms the order that was made before the commit in line', async () => {
    const { user, productId, id } = await aHold();
    const [made, committed] = (await queued(id, [() => order(user, id), () => end(user, id, 'commit')])).map(dataOf);
    expect(committed).toMatchObject({ id: made.id, status: 'confirmed', version: 2 });
    expect(await stockOf(test, productId)).toEqual(SOLD);
  });

  it('cancels the order that was made before the cancellation in line', async () => {
    const { user, productId, id } = await aHold();
    const replies = await queued(id, [() => order(user, id), () => end(user, id, 'cancel')]);
    expect(replies.map(({ status }) => status)).toEqual([201, 200]);
    expect(await ordersOf(id)).toEqual([{ id: replies[0]!.body.data.id, status: 'cancelled' }]);
    expect(await stockOf(test, productId)).toEqual(FREE);
  });

  it.each([
    ['commit', 'committed', SOLD],
    ['cancel', 'cancelled', FREE],
  ] as const)('makes no order behind a %s in line', async (action, status, stock) => {
    const { user, productId, id } = await aHold();
    const [, late] = await queued(id, [() => end(user, id, action), () => order(user, id)]);
    expect(late!.body).toMatchObject({ code: 'reservation_not_active', reservation_status: status });
    expect(await ordersOf(id)).toHaveLength(action === 'commit' ? 1 : 0);
    expect(await stockOf(test, productId)).toEqual(stock);
  });

  it('takes the order along when a cancellation finds that one was made while it waited', async () => {
    const { user, productId, id } = await aHold();
    const meanwhile = async (): Promise<void> => {
      const isMade = async (): Promise<boolean> => (await database.query(ORDER_OF, [id])).length > 0;
      await until(isMade, 'the order is made');
    };
    const replies = await whileLocked(database, { sql: LOCK_LEVELS, values: [productId], meanwhile }, () =>
      queued(id, [() => order(user, id), () => end(user, id, 'cancel')]),
    );
    expect(replies.map(({ status }) => status)).toEqual([201, 200]);
    expect(await database.query(ORDER_OF, [id])).toEqual([{ status: 'cancelled', version: 2 }]);
    expect(await stockOf(test, productId)).toEqual({ available: 10, reserved: 0, total: 10 });
  });
});
