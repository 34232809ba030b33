import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, type Server, request } from 'node:http';
import type { Socket } from 'node:net';
import type { Api, Reply } from '../support/api';
import { LOCK_LEVELS, metricOf, queueUp } from '../support/batches';
import { createDatabase, rowCounts, type TestDatabase } from '../support/database';
import { aProduct, aReservation, dataOf, expectReconciled, type Product, stockOf } from '../support/factories';
import { storm, tally, until, untilQueued, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const reserve = (buyer: Api, productId: string): Promise<Reply> =>
  buyer.post('/api/reservations', { product_id: productId, quantity: 1 });

/** Keeps a first request waiting for its level while `gather` lets others queue up behind it. Gives its answer. */
function behindOne(test: TestApp, product: Product, gather: () => Promise<unknown>): Promise<Reply> {
  const lock = { sql: LOCK_LEVELS, values: [product.id], meanwhile: gather };
  return whileLocked(test.database, lock, () => reserve(test.aUser(), product.id));
}

const serverOf = ({ app }: TestApp): Server => app.getHttpServer();

describe('Requests that wait for their batch', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ RESERVATION_QUEUE_LIMIT: '5' });
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  it('are so many and no more: the next one is told at once, and other products are served meanwhile', async () => {
    const [product, other] = [await aProduct(test), await aProduct(test)];
    const refusals = await metricOf(test, 'holdfast_overload_refusals_total');
    let waiting: Promise<Reply>[] = [];
    const first = await behindOne(test, product, async () => {
      waiting = await queueUp(
        test,
        Array.from({ length: 5 }, () => () => reserve(test.aUser(), product.id)),
      );
      const before = await rowCounts(test.database);
      const { status, body, headers } = await reserve(test.aUser(), product.id);
      expect([status, body.code, headers['retry-after']]).toEqual([503, 'overloaded', '1']);
      expect(await rowCounts(test.database)).toEqual(before);
      expect(await metricOf(test, 'holdfast_overload_refusals_total')).toBe(refusals + 1);
      expect((await reserve(test.aUser(), other.id)).status).toBe(201);
      expect(await metricOf(test, 'holdfast_queue_requests')).toBe(5);
    });
    expect(tally([first, ...(await Promise.all(waiting))])).toEqual({ '201': 6 });
    expect((await reserve(test.aUser(), product.id)).status).toBe(201);
    expect(await stockOf(test, product.id)).toEqual({ available: 3, reserved: 7, total: 10 });
    expect(await stockOf(test, other.id)).toEqual({ available: 9, reserved: 1, total: 10 });
  });

  it('are not carried out if their client has hung up, and hold nobody up', async () => {
    const product = await aProduct(test);
    const [leaver, stayer, key] = [test.aUser(), test.aUser(), randomUUID()];
    const sockets = new Map<number, Socket>();
    const remember = (socket: Socket): void => void sockets.set(socket.remotePort!, socket);
    serverOf(test).on('connection', remember);
    let running: Promise<Reply> | undefined;
    const first = await behindOne(test, product, async () => {
      const call = callAndForget(test, leaver, { product_id: product.id, quantity: 1 }, key);
      await untilQueued(test, 1);
      running = reserve(stayer, product.id);
      await untilQueued(test, 2);
      const socket = sockets.get(call.socket!.localPort!)!;
      const closed = once(socket, 'close');
      call.destroy();
      await closed;
    });
    serverOf(test).off('connection', remember);
    expect(tally([first, await running!])).toEqual({ '201': 2 });
    expect(await test.database.query('SELECT FROM reservations WHERE user_id = $1', [leaver.userId])).toEqual([]);
    expect(await test.database.query('SELECT FROM idempotency_keys WHERE key = $1', [key])).toEqual([]);
    expect(await metricOf(test, 'holdfast_queue_requests')).toBe(0);
    expect(await stockOf(test, product.id)).toEqual({ available: 8, reserved: 2, total: 10 });
  });

  it('are measured: how many went together, how long they waited, and how long their batch and its locks took', async () => {
    const product = await aProduct(test);
    const names = ['batch_requests', 'queue_wait_seconds', 'batch_lock_wait_seconds', 'batch_duration_seconds'];
    const read = (what: string): Promise<number[]> =>
      storm(names.length, (index) => metricOf(test, `holdfast_${names[index]}_${what}`));
    const [counts, sums] = [await read('count'), await read('sum')];
    const since = performance.now();
    let waiting: Promise<Reply>[] = [];
    await behindOne(test, product, async () => {
      waiting = await queueUp(
        test,
        Array.from({ length: 3 }, () => () => reserve(test.aUser(), product.id)),
      );
    });
    await Promise.all(waiting);
    const seconds = (performance.now() - since) / 1000;
    expect(await read('count')).toEqual([counts[0]! + 2, counts[1]! + 4, counts[2]! + 2, counts[3]! + 2]);
    const [requests, waited, locked, lasted] = (await read('sum')).map((sum, index) => sum - sums[index]!);
    expect(requests).toBe(4);
    expect(waited).toBeGreaterThan(0);
    expect(waited).toBeLessThan(3 * seconds);
    // The first batch did hardly anything but wait for its lock.
    expect(locked).toBeGreaterThan(0);
    expect(lasted).toBeGreaterThan(locked!);
    expect(lasted).toBeLessThan(seconds);
  });
});

/** Sends a request whose answer nobody will read. */
function callAndForget({ url }: TestApp, user: Api, body: object, key: string): ClientRequest {
  const headers = {
    ...{ 'Content-Type': 'application/json', Authorization: `Bearer ${user.token}`, 'Idempotency-Key': key },
  };
  const call = request(`${url}/api/reservations`, { method: 'POST', agent: false, headers });
  // That it hung up itself is no surprise to the caller.
  call.on('error', () => undefined);
  call.end(JSON.stringify(body));
  return call;
}

describe('An application that is closed while requests wait', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase();
  });
  afterEach(() => database.drop());

  it('answers all of them first, with what it then has done', async () => {
    const test = await startTestApp({}, database);
    const products = [await aProduct(test, { initial_stock: 40 }), await aProduct(test, { initial_stock: 40 })];
    const held = await aReservation(test.aUser(), products[1]!.id);
    let waiting: Promise<Reply>[] = [];
    let closing: Promise<void> | undefined;
    const first = await behindOne(test, products[0]!, async () => {
      const items = products.map(({ id }) => ({ product_id: id, quantity: 1 }));
      waiting = await queueUp(
        test,
        Array.from(
          { length: 12 },
          (_, index) => () => test.aUser().post(index % 2 ? '/api/orders' : '/api/reservations', { items }),
        ),
      );
      closing = test.close();
      await until(async () => !serverOf(test).listening, 'the application takes no more connections');
    });
    const replies = await Promise.all(waiting);
    await closing;
    expect(tally([first, ...replies])).toEqual({ '201': 13 });
    await expect(reserve(test.aUser(), products[0]!.id)).rejects.toThrow('ECONNREFUSED');

    const answered = replies.map((reply, index) => dataOf(reply)[index % 2 ? 'reservation_id' : 'id'] as string);
    const rows = await database.query<{ id: string }>('SELECT id FROM reservations');
    expect(rows.map(({ id }) => id).sort()).toEqual([...answered, dataOf(first).id, held.id].sort());
    const orders = await database.query<{ id: string }>('SELECT id FROM orders');
    expect(orders.map(({ id }) => id).sort()).toEqual(
      replies
        .filter((_, index) => index % 2)
        .map((reply) => dataOf(reply).id as string)
        .sort(),
    );
    const next = await startTestApp({}, database);
    try {
      await expectReconciled(next);
      for (const { id } of products) {
        expect(await stockOf(next, id)).toEqual({ available: 27, reserved: 13, total: 40 });
      }
    } finally {
      await next.close();
    }
  });
});
