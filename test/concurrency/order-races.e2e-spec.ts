import { type Api, type Reply } from '../support/api';
import { createDatabase, type TestDatabase } from '../support/database';
import {
  anOrder,
  aProduct,
  bring,
  dataOf,
  expectReconciled,
  letTimePass,
  type Order,
  stockOf,
} from '../support/factories';
import { inLine, queuedAt, startInLine, storm, tally, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const LOCK_ORDER = 'SELECT FROM orders WHERE id = $1 FOR UPDATE';
const LOCK_LEVELS = 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE';

const SOLD = { available: 9, reserved: 0, total: 9 };
const FREE = { available: 10, reserved: 0, total: 10 };

interface Scene {
  user: Api;
  admin: Api;
  stranger: Api;
  productId: string;
  order: Order;
}

/** The same, asked of another process. */
const at = ({ url }: TestApp, scene: Scene): Scene => ({
  ...scene,
  ...{ user: scene.user.at(url), admin: scene.admin.at(url), stranger: scene.stranger.at(url) },
});

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

describe('Races for one order', () => {
  async function aScene(): Promise<Scene> {
    const [product, user] = [await aProduct(test), test.aUser()];
    const order = await anOrder(user, product.id);
    return { user, admin: test.admin, stranger: test.aUser(), productId: product.id, order };
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
    'cancel by an administrator': ({ admin, order }) => move(admin, order, 'cancelled'),
    'cancel by a stranger': ({ stranger, order }) => move(stranger, order, 'cancelled'),
    'commit of its reservation': ({ user, order }) => onReservation(user, order, 'commit'),
    'cancellation of its reservation': ({ user, order }) => onReservation(user, order, 'cancel'),
  };

  const LINES: [string, string, string, object][] = [
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
  ];

  describe.each(['one process', 'two processes'])('at %s', (where) => {
    it.each(LINES)('carries out %s, first in line, and answers %s behind it with %s', async (...line) => {
      const [first, second, answer, stock] = line;
      const scene = await aScene();
      const ahead = (): Promise<Reply> => ACTIONS[first]!(scene);
      const behind = (): Promise<Reply> => ACTIONS[second]!(where === 'one process' ? scene : at(twin, scene));
      // At one process the second waits for its batch; at another for the row, if it is not refused without a lock.
      const attempts = [ahead, where === 'one process' ? queuedAt(test, behind) : behind];
      const isRefusedUnlocked = where === 'two processes' && second === 'cancel by a stranger';
      const waiters = isRefusedUnlocked ? 1 : attempts;
      const lock = { sql: LOCK_ORDER, values: [scene.order.id], waiters };
      const replies = await whileLocked(database, lock, () => startInLine(database, attempts));
      expect(replies[0]!.status).toBeLessThan(300);
      expect(told(replies[1]!)).toBe(answer);
      expect(await stockOf(test, scene.productId)).toEqual(stock);
    });
  });

  it('is not confirmed behind the sweep that cancels it', async () => {
    const scene = await aScene();
    await letTimePass(test, scene.order.reservation_id);
    const lock = { sql: LOCK_LEVELS, values: [scene.productId] };
    const attempts: (() => Promise<number | Reply>)[] = [() => test.sweep(), () => confirm(scene)];
    const [expired, reply] = await inLine(database, lock, attempts);
    expect(expired).toBe(1);
    expect(told(reply as Reply)).toBe('409 invalid_transition, from cancelled');
    expect(await stockOf(test, scene.productId)).toEqual(FREE);
  });

  /** For `whileLocked`: a sweep that must find nothing to do. */
  const sweepInVain = async (): Promise<void> => expect(await test.sweep()).toBe(0);

  it('is passed by by the sweep, with its reservation, while somebody has the order', async () => {
    const scene = await aScene();
    await letTimePass(test, scene.order.reservation_id);
    const lock = { sql: LOCK_ORDER, values: [scene.order.id], waiters: 0, meanwhile: sweepInVain };
    await whileLocked(database, lock, () => Promise.resolve());
    expect(dataOf(await scene.user.get('/api/orders'))).toMatchObject([{ status: 'pending', version: 1 }]);
    expect(await test.sweep()).toBe(1);
    expect(dataOf(await scene.user.get('/api/orders'))).toMatchObject([{ status: 'cancelled', version: 2 }]);
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
    const attempts = [
      () => move(user, order, 'confirmed', ifMatch),
      () => move(user.at(twin.url), order, 'cancelled', ifMatch),
    ];
    const replies = await inLine(database, { sql: LOCK_ORDER, values: [order.id] }, attempts);
    expect(replies.map(({ status }) => status)).toEqual([200, 412]);
    expect(await current(order)).toMatchObject({ status: 'confirmed', version: 2 });
  });
});
