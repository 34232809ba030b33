import { type Api, type Reply } from '../support/api';
import {
  anOrder,
  aProduct,
  aReservation,
  bring,
  dataOf,
  expectReconciled,
  letTimePass,
  type Order,
  stockOf,
} from '../support/factories';
import { inLine, storm, tally, until, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const LOCK_ORDER = 'SELECT FROM orders WHERE id = $1 FOR UPDATE';
const LOCK_LEVELS = 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE';
const LOCK_RESERVATION = 'SELECT FROM reservations WHERE id = $1 FOR UPDATE';

const SOLD = { available: 9, reserved: 0, total: 9 };
const HELD = { available: 9, reserved: 1, total: 10 };
const FREE = { available: 10, reserved: 0, total: 10 };

interface Scene {
  user: Api;
  productId: string;
  order: Order;
}

const move = (who: Api, order: Order, status: string, headers = {}): Promise<Reply> =>
  who.patch(`/api/orders/${order.id}/status`, { status }, headers);
const onReservation = (who: Api, order: Order, action: 'commit' | 'cancel'): Promise<Reply> =>
  who.post(`/api/reservations/${order.reservation_id}/${action}`);

/** An answer in a few words. */
function told({ status, body }: Reply): string {
  if (status < 300) {
    return `${status} ${body.data.status}`;
  }
  const { code, from, reservation_status: hold } = body;
  return `${status} ${code}${from ? `, from ${from}` : ''}${hold ? `: ${hold}` : ''}`;
}

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp({ DATABASE_POOL_SIZE: '20' });
});
afterEach(() => expectReconciled(test));
afterAll(() => test.close());

describe('Races for one order', () => {
  async function aScene(): Promise<Scene> {
    const [product, user] = [await aProduct(test), test.aUser()];
    return { user, productId: product.id, order: await anOrder(user, product.id) };
  }

  const current = async ({ id }: Order): Promise<Order> => dataOf(await test.admin.get(`/api/orders/${id}`));

  it('confirms it once when its owner and an administrator try 20 times at once', async () => {
    const { user, productId, order } = await aScene();
    const replies = await storm(20, (index) => move(index % 2 ? user : test.admin, order, 'confirmed'));
    expect(tally(replies)).toEqual({ '200': 1, '409 invalid_transition': 19 });
    for (const { body } of replies.filter(({ status }) => status === 409)) {
      expect(body).toMatchObject({ from: 'confirmed', to: 'confirmed', allowed: ['processing', 'cancelled'] });
    }
    expect(await current(order)).toMatchObject({ status: 'confirmed', version: 2 });
    expect(dataOf(await user.get(`/api/orders/${order.id}/history`))).toHaveLength(1);
    expect(await stockOf(test, productId)).toEqual(SOLD);
  });

  it('restocks it once when it is cancelled 20 times at once', async () => {
    const { user, productId, order } = await aScene();
    await bring(test, order.id, 'confirmed');
    const replies = await storm(20, () => move(user, order, 'cancelled'));
    expect(tally(replies)).toEqual({ '200': 1, '409 invalid_transition': 19 });
    expect(await stockOf(test, productId)).toEqual(FREE);
  });

  it('is cancelled in the end, with its stock back, when confirm and cancel race', async () => {
    await storm(15, async () => {
      const { user, productId, order } = await aScene();
      const [confirm, cancel] = await Promise.all([
        move(user, order, 'confirmed'),
        move(test.admin, order, 'cancelled'),
      ]);
      expect(cancel.status).toBe(200);
      expect([200, 409]).toContain(confirm.status);
      expect(await current(order)).toMatchObject({ status: 'cancelled', version: confirm.status === 200 ? 3 : 2 });
      expect(await stockOf(test, productId)).toEqual(FREE);
    });
  });

  it('gives the stock of either winner when confirm and the cancellation of its reservation race', async () => {
    await storm(15, async () => {
      const { user, productId, order } = await aScene();
      const replies = await Promise.all([move(user, order, 'confirmed'), onReservation(user, order, 'cancel')]);
      expect(replies.map(({ status }) => status).sort()).toEqual([200, 409]);
      const isSold = replies[0].status === 200;
      expect(await current(order)).toMatchObject({ status: isSold ? 'confirmed' : 'cancelled', version: 2 });
      expect(await stockOf(test, productId)).toEqual(isSold ? SOLD : FREE);
    });
  });

  const confirm = ({ user, order }: Scene): Promise<Reply> => move(user, order, 'confirmed');
  const ACTIONS: Record<string, (scene: Scene) => Promise<Reply>> = {
    confirm,
    cancel: ({ user, order }) => move(user, order, 'cancelled'),
    'cancel by an administrator': ({ order }) => move(test.admin, order, 'cancelled'),
    'cancel by a stranger': ({ order }) => move(test.aUser(), order, 'cancelled'),
    'commit of its reservation': ({ user, order }) => onReservation(user, order, 'commit'),
    'cancellation of its reservation': ({ user, order }) => onReservation(user, order, 'cancel'),
  };

  it.each([
    ['confirm', 'confirm', '409 invalid_transition, from confirmed', SOLD],
    ['confirm', 'cancel', '200 cancelled', FREE],
    ['confirm', 'cancel by a stranger', '404 not_found', SOLD],
    ['confirm', 'commit of its reservation', '409 reservation_not_active: committed', SOLD],
    ['confirm', 'cancellation of its reservation', '409 reservation_not_active: committed', SOLD],
    ['cancel', 'confirm', '409 invalid_transition, from cancelled', FREE],
    ['cancel', 'cancel by an administrator', '409 invalid_transition, from cancelled', FREE],
    ['cancel', 'commit of its reservation', '409 reservation_not_active: cancelled', FREE],
    ['commit of its reservation', 'confirm', '409 invalid_transition, from confirmed', SOLD],
    ['cancellation of its reservation', 'confirm', '409 invalid_transition, from cancelled', FREE],
  ])('carries out %s, first in line, and answers %s behind it with %s', async (first, second, answer, stock) => {
    const scene = await aScene();
    const attempts = [first, second].map((name) => () => ACTIONS[name]!(scene));
    const replies = await inLine(test.database, { sql: LOCK_ORDER, values: [scene.order.id] }, attempts);
    expect(replies[0]!.status).toBeLessThan(300);
    expect(told(replies[1]!)).toBe(answer);
    expect(await stockOf(test, scene.productId)).toEqual(stock);
  });

  it('is not confirmed behind the sweep that cancels it', async () => {
    const scene = await aScene();
    await letTimePass(test, scene.order.reservation_id);
    const lock = { sql: LOCK_LEVELS, values: [scene.productId] };
    const attempts: (() => Promise<number | Reply>)[] = [() => test.sweep(), () => confirm(scene)];
    const [expired, reply] = await inLine(test.database, lock, attempts);
    expect(expired).toBe(1);
    expect(told(reply as Reply)).toBe('409 invalid_transition, from cancelled');
    expect(await stockOf(test, scene.productId)).toEqual(FREE);
  });

  /** For `whileLocked`: a sweep that must find nothing to do. */
  const sweepInVain = async (): Promise<void> => expect(await test.sweep()).toBe(0);

  it('is passed by by the sweep while a confirmation works on it, and cancelled by the next', async () => {
    const scene = await aScene();
    await letTimePass(test, scene.order.reservation_id);
    // The confirmation has the order when it comes to wait for the reservation.
    const lock = { sql: LOCK_RESERVATION, values: [scene.order.reservation_id], meanwhile: sweepInVain };
    const reply = await whileLocked(test.database, lock, () => confirm(scene));
    expect(told(reply)).toBe('409 reservation_not_active: expired');
    expect(await test.sweep()).toBe(1);
    expect(await current(scene.order)).toMatchObject({ status: 'cancelled', version: 2 });
  });

  it('is passed by by the sweep, with its reservation, while somebody has the order', async () => {
    const scene = await aScene();
    await letTimePass(test, scene.order.reservation_id);
    const lock = { sql: LOCK_ORDER, values: [scene.order.id], waiters: 0, meanwhile: sweepInVain };
    await whileLocked(test.database, lock, () => Promise.resolve());
    expect(await current(scene.order)).toMatchObject({ status: 'pending', version: 1 });
    expect(await test.sweep()).toBe(1);
    expect(await current(scene.order)).toMatchObject({ status: 'cancelled', version: 2 });
    expect(await stockOf(test, scene.productId)).toEqual(FREE);
  });

  it.each(['confirmed', 'cancelled'])(
    'takes one of 20 changes that are meant for the same version, when it is %s',
    async (status) => {
      const { user, order } = await aScene();
      const replies = await storm(20, () => move(user, order, status, { 'If-Match': `"${order.version}"` }));
      expect(tally(replies)).toEqual({ '200': 1, '412 version_mismatch': 19 });
      const told412 = replies.filter((reply) => reply.status === 412);
      expect(told412.map(({ body }) => body.current_version)).toEqual(Array(19).fill(order.version + 1));
      expect(await current(order)).toMatchObject({ status, version: order.version + 1 });
    },
  );

  it('refuses with 412 the change that stood in line behind another, although the state machine would allow it', async () => {
    const { user, order } = await aScene();
    const ifMatch = { 'If-Match': '"1"' };
    const attempts = ['confirmed', 'cancelled'].map((status) => () => move(user, order, status, ifMatch));
    const replies = await inLine(test.database, { sql: LOCK_ORDER, values: [order.id] }, attempts);
    expect(replies.map(({ status }) => status)).toEqual([200, 412]);
    expect(await current(order)).toMatchObject({ status: 'confirmed', version: 2 });
  });
});

describe('Races for one version of a product', () => {
  it('lets one of 20 changes through that are meant for the same version', async () => {
    const product = await aProduct(test);
    const replies = await storm(20, (index) =>
      test.admin.patch(`/api/products/${product.id}`, { price: `${index + 1}.00` }, { 'If-Match': '"1"' }),
    );
    expect(tally(replies)).toEqual({ '200': 1, '412 version_mismatch': 19 });
    const winner = replies.findIndex(({ status }) => status === 200);
    const { price, version } = dataOf(await test.admin.get(`/api/products/${product.id}`));
    expect([price, version]).toEqual([`${winner + 1}.00`, 2]);
  });

  it('refuses the second in line with 412, and counts every change that names no version', async () => {
    const { id } = await aProduct(test);
    const patch = (name: string, headers = {}): Promise<Reply> =>
      test.admin.patch(`/api/products/${id}`, { name }, headers);
    const lock = { sql: 'SELECT FROM products WHERE id = $1 FOR UPDATE', values: [id] };
    const attempts = [() => patch('first'), () => patch('second', { 'If-Match': '"1"' })];
    const replies = await inLine(test.database, lock, attempts);
    expect(replies.map(({ status }) => status)).toEqual([200, 412]);
    expect(tally(await storm(10, (index) => patch(`name ${index}`)))).toEqual({ '200': 10 });
    expect(dataOf(await test.admin.get(`/api/products/${id}`)).version).toBe(12);
  });
});

describe('Races to make an order from one reservation', () => {
  async function aHold(): Promise<{ user: Api; productId: string; id: string }> {
    const [product, user] = [await aProduct(test), test.aUser()];
    return { user, productId: product.id, id: (await aReservation(user, product.id)).id };
  }

  const order = (user: Api, id: string): Promise<Reply> => user.post('/api/orders', { reservation_id: id });
  const end = (user: Api, id: string, action: string): Promise<Reply> => user.post(`/api/reservations/${id}/${action}`);
  const queued = (id: string, attempts: (() => Promise<Reply>)[]): Promise<Reply[]> =>
    inLine(test.database, { sql: LOCK_RESERVATION, values: [id] }, attempts);
  const ordersOf = (id: string): Promise<{ id: string; status: string }[]> =>
    test.database.query('SELECT id, status FROM orders WHERE reservation_id = $1', [id]);

  it('makes one order when 20 ask at once', async () => {
    const { user, productId, id } = await aHold();
    expect(tally(await storm(20, () => order(user, id)))).toEqual({ '201': 1, '409 duplicate': 19 });
    expect(await ordersOf(id)).toHaveLength(1);
    expect(await stockOf(test, productId)).toEqual(HELD);
  });

  it('makes one order for the first in line, and names the reservation to the second', async () => {
    const { user, id } = await aHold();
    const replies = await queued(id, [() => order(user, id), () => order(test.admin, id)]);
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

  it('is restarted with the lock on the order, when a cancellation finds that one was made while it waited', async () => {
    const { user, productId, id } = await aHold();
    const isAtLevel = `SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM stock_levels%FOR UPDATE%'`;
    let free: object[] | undefined;
    const meanwhile = async (): Promise<void> => {
      await until(
        async () => (await test.database.query(isAtLevel)).length > 0,
        'the cancellation waits for the level',
      );
      free = await test.database.query('SELECT FROM orders WHERE reservation_id = $1 FOR UPDATE SKIP LOCKED', [id]);
    };
    const replies = await whileLocked(test.database, { sql: LOCK_LEVELS, values: [productId], meanwhile }, () =>
      queued(id, [() => order(user, id), () => end(user, id, 'cancel')]),
    );
    expect(replies.map(({ status }) => status)).toEqual([201, 200]);
    expect(free).toEqual([]);
  });
});
