import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { answerOf, ask, type Asked, asked } from '../support/asked';
import { askInOneBatch } from '../support/batches';
import { aProduct, aReservation, dataOf, expectReconciled, letTimePass, stockOf } from '../support/factories';
import { type LogLine, logLines } from '../support/log-lines';
import { storm, tally } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const LOCK_RESERVATION = 'SELECT FROM reservations WHERE id = $1 FOR UPDATE';
const REUSED = '422 idempotency_key_reused';

const withKey = (key: string): Record<string, string> => ({ 'Idempotency-Key': key });
const isReplay = ({ headers }: Reply): boolean => headers['idempotent-replayed'] === 'true';

let test: TestApp;
let lines: LogLine[];
beforeAll(async () => {
  test = await startTestApp({ LOG_LEVEL: 'warn' });
});
beforeEach(() => {
  lines = logLines();
});
afterEach(async () => {
  // Among them would be that a batch failed and was tried again in halves.
  expect(lines).toEqual([]);
  jest.restoreAllMocks();
  await expectReconciled(test);
});
afterAll(() => test.close());

const ordering = (who: Api, reservation_id: string, key?: string): Asked =>
  asked(who, ['post', '/api/orders'], { reservation_id }, key ? withKey(key) : {});
const hold = async (who: Api, productId: string): Promise<string> => (await aReservation(who, productId)).id;

describe('One Idempotency-Key for orders of different reservations, in one batch', () => {
  /** In the order of their arrival, each with its key and the answer that it is to get. */
  const expected = {
    'without a key': [undefined, '201'],
    first: ['one', '201'],
    second: ['one', REUSED],
    'of another caller': ['one', '201'],
    unknown: ['two', '404 not_found'],
    foreign: ['two', '404 not_found'],
    'after two that failed': ['two', '201'],
    'after one that did not': ['two', REUSED],
    third: ['one', REUSED],
    'unknown too': ['three', '404 not_found'],
    overdue: ['three', '409 expired'],
  } as const;
  type Name = keyof typeof expected;
  const names = Object.keys(expected) as Name[];

  let ada: Api;
  let ids: Record<Name, string>;
  let requests: Record<Name, Asked>;

  beforeEach(async () => {
    const [product, bob, tag] = [await aProduct(test, { initial_stock: 50 }), test.aUser(), randomUUID()];
    ada = test.aUser();
    const found = await Promise.all(
      names.map(async (name) => {
        const owner = ['foreign', 'of another caller'].includes(name) ? bob : ada;
        return [name, name.startsWith('unknown') ? randomUUID() : await hold(owner, product.id)] as const;
      }),
    );
    ids = Object.fromEntries(found) as typeof ids;
    await letTimePass(test, ids.overdue);
    const asking = names.map((name) => {
      const [key] = expected[name];
      return [name, ordering(name === 'of another caller' ? bob : ada, ids[name], key && `${key}-${tag}`)];
    });
    requests = Object.fromEntries(asking) as typeof requests;
  });

  it('is good for the first that can be made; each other request is answered for itself', async () => {
    const gate = await aProduct(test);
    const openers = await Promise.all(
      [1, 2].map(async () => {
        const id = await hold(ada, gate.id);
        const attempt = (): Promise<Reply> => ask(ordering(ada, id));
        return { lock: { sql: LOCK_RESERVATION, values: [id] }, attempt };
      }),
    );
    const queue = { openers, rows: { orders: 2, order_items: 2, audit_logs: 2 } };
    const { replies, written } = await askInOneBatch(test, queue, requests);
    expect(Object.fromEntries(names.map((name) => [name, [expected[name][0], answerOf(replies[name])]]))).toEqual(
      expected,
    );
    expect(names.filter((name) => isReplay(replies[name]))).toEqual([]);
    expect(written).toEqual({ orders: 4, order_items: 4, audit_logs: 4, idempotency_keys: 3 });
    // Who was refused for his key has an untouched reservation, and can order it under another.
    for (const name of names.filter((one) => expected[one][1] === REUSED)) {
      expect(dataOf(await ada.get(`/api/reservations/${ids[name]}`))).toMatchObject({
        status: 'active',
        order_id: null,
      });
      expect((await ask(ordering(ada, ids[name], randomUUID()))).status).toBe(201);
    }
    for (const name of ['first', 'of another caller', 'after two that failed'] as const) {
      const again = await ask(requests[name]);
      expect([again.status, isReplay(again), again.body.data]).toEqual([201, true, replies[name].body.data]);
    }
    expect(answerOf(await ask(requests.second))).toBe(REUSED);
    // With the key of those that all failed, nothing is done yet.
    const { headers } = requests.overdue;
    const late = await ada.post('/api/orders', { reservation_id: await hold(ada, gate.id) }, headers);
    expect([late.status, isReplay(late)]).toEqual([201, false]);
  });
});

describe('One Idempotency-Key of one caller for everything at once, beside requests of others', () => {
  const PER_KIND = 12;

  it('is good for one request to each path, and disturbs nobody', async () => {
    const [product, ada, key] = [await aProduct(test, { initial_stock: 1000 }), test.aUser(), randomUUID()];
    const holds = (who: Api): Promise<string[]> => storm(PER_KIND, () => hold(who, product.id));
    const kinds = ['order', 'commit', 'cancel', 'extend'] as const;
    const reservations = Object.fromEntries(
      await Promise.all(kinds.map(async (kind) => [kind, await holds(ada)] as const)),
    ) as Record<(typeof kinds)[number], string[]>;
    const others = await storm(PER_KIND, async () => {
      const who = test.aUser();
      return { who, ordered: await hold(who, product.id), committed: await hold(who, product.id) };
    });
    const before = await stockOf(test, product.id);

    const line = (index: number): object => ({ product_id: product.id, quantity: 1 + (index % 3) });
    const post = (path: string, body?: object): Promise<Reply> => ada.post(path, body, withKey(key));
    const toOne = (kind: 'commit' | 'cancel' | 'extend', index: number): Promise<Reply> =>
      post(
        `/api/reservations/${reservations[kind][index]}/${kind}`,
        kind === 'extend' ? { ttl_seconds: 900 } : undefined,
      );
    const [reserved, ordered, commits, cancels, extensions, inVain, ofOthers] = await Promise.all([
      storm(PER_KIND, (index) => post('/api/reservations', line(index))),
      // Two ways to make an order, which do not stand in the same queue, have one path.
      storm(2 * PER_KIND, (index) =>
        index < PER_KIND
          ? post('/api/orders', { reservation_id: reservations.order[index] })
          : post('/api/orders', { items: [line(index)] }),
      ),
      storm(PER_KIND, (index) => toOne('commit', index)),
      storm(PER_KIND, (index) => toOne('cancel', index)),
      storm(PER_KIND, (index) => toOne('extend', index)),
      // None of these uses up its key, so each batch with some of them has to take it.
      storm(5 * PER_KIND, () => ada.post('/api/orders', { reservation_id: randomUUID() }, withKey(`${key}-in-vain`))),
      storm(3 * PER_KIND, (index) => {
        const { who, ordered: reservation_id, committed } = others[index % PER_KIND]!;
        return [
          () => who.post('/api/orders', { reservation_id }, withKey(key)),
          () => who.post(`/api/reservations/${committed}/commit`),
          () => who.post('/api/reservations', line(0)),
        ][Math.floor(index / PER_KIND)]!();
      }),
    ]);

    const carriedOut = (replies: Reply[]): Reply[] => replies.filter((one) => one.status < 300 && !isReplay(one));
    expect(tally(ofOthers)).toEqual({ '201': 3 * PER_KIND });
    expect(tally(inVain)).toEqual({ '404 not_found': 5 * PER_KIND });
    expect([commits, cancels, extensions, ofOthers].map((replies) => carriedOut(replies).length)).toEqual([
      ...[PER_KIND, PER_KIND, PER_KIND, 3 * PER_KIND],
    ]);
    for (const replies of [reserved, ordered]) {
      const [first, ...more] = carriedOut(replies);
      expect(more).toEqual([]);
      const rest = replies.filter((one) => one !== first);
      expect(rest.filter((one) => answerOf(one) !== REUSED).map(({ body }) => body.data)).toEqual(
        rest.filter(isReplay).map(() => first!.body.data),
      );
    }
    const quantityOf = (replies: Reply[]): number =>
      carriedOut(replies)[0]!.body.data.items.reduce(
        (sum: number, item: { quantity: number }) => sum + item.quantity,
        0,
      );
    const isNewHold = !reservations.order.includes(carriedOut(ordered)[0]!.body.data.reservation_id);
    const taken = quantityOf(reserved) + (isNewHold ? quantityOf(ordered) : 0) + PER_KIND;
    expect(await stockOf(test, product.id)).toEqual({
      available: before.available + PER_KIND - taken,
      reserved: before.reserved - 3 * PER_KIND + taken,
      total: before.total - 2 * PER_KIND,
    });
  });
});
