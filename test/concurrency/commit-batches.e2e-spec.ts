import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { tracesOf } from '../support/asked';
import { metricOf } from '../support/batches';
import { aCommit, answersOf, commit, type Commit, inOneCommitBatch, rowsOfCommits } from '../support/commits';
import {
  anOrder,
  aProduct,
  aReservation,
  dataOf,
  expectReconciled,
  letTimePass,
  type Order,
  type Product,
  stockOf,
} from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterEach(() => expectReconciled(test));
afterAll(() => test.close());

const actorOf = ({ who }: Commit): string => `user:${who.userId}`;
const giveTimeBack = (reservationId: string): Promise<object[]> =>
  test.database.query(`UPDATE reservations SET expires_at = clock_timestamp() + interval '9 minutes' WHERE id = $1`, [
    reservationId,
  ]);
const committedSoFar = (): Promise<number> => metricOf(test, 'holdfast_reservations_total{outcome="committed"}');

/** The rows of reservations, to the letter. */
const rowsOf = (ids: string[]): Promise<object[]> =>
  test.database.query('SELECT to_jsonb(r) FROM reservations AS r WHERE id = ANY($1) ORDER BY id', [ids]);

describe('The commits of one batch', () => {
  /** In the order of their arrival, with the answer that each is to get. */
  const expected = {
    adas: '201',
    bobs: '201',
    ordered: '201',
    unknown: '404 not_found',
    foreign: '404 not_found',
    byAdmin: '201',
    cancelled: '409 cancelled',
    expired: '409 expired',
    overdue: '409 expired',
    committed: '409 committed',
    once: '201',
    twice: '409 committed',
    keyed: '201',
    repeated: '201',
    replayed: '201',
    mended: '201',
    overdueYet: '409 expired',
    intruder: '404 not_found',
    owner: '201',
  };
  type Name = keyof typeof expected;
  const names = Object.keys(expected) as Name[];
  const replays: Name[] = ['repeated', 'replayed'];
  /** What each of them holds; 1 where nothing is said. */
  const quantities: Partial<Record<Name, number>> = { adas: 2, bobs: 3, ordered: 4, byAdmin: 5, once: 6 };

  let ada: Api;
  let bob: Api;
  let product: Product;
  let order: Order;
  let before: Reply;
  let commits: Record<Name, Commit>;
  let replies: Record<Name, Reply>;
  let written: Record<string, number>;
  let untouched: object[];
  let counted: number;

  const hold = async (who: Api, quantity = 1): Promise<string> =>
    (await aReservation(who, product.id, { quantity })).id;
  const quantityOf = (name: Name): number => quantities[name] ?? 1;
  const succeeded = names.filter((name) => expected[name] === '201' && !replays.includes(name));
  const refused = names.filter((name) => expected[name] !== '201');
  const untouchedOnes = (): string[] =>
    (['foreign', 'cancelled', 'expired', 'overdue', 'committed', 'replayed', 'overdueYet'] as const).map(
      (name) => commits[name].id,
    );

  /** Reservations that are over, each in its own way, and one that is held by a key. */
  async function prepare(): Promise<Record<Name, Commit>> {
    const [expired, cancelled, committed] = [await hold(ada), await hold(ada), aCommit(ada, await hold(ada))];
    await letTimePass(test, expired);
    expect(await test.sweep()).toBe(1);
    dataOf(await ada.post(`/api/reservations/${cancelled}/cancel`));
    dataOf(await commit(committed));
    const replayed = aCommit(ada, await hold(ada), randomUUID());
    before = await commit(replayed);
    const mended = aCommit(ada, await hold(ada), randomUUID());
    await letTimePass(test, mended.id);
    expect(answersOf([await commit(mended)])).toEqual(['409 expired']);
    await giveTimeBack(mended.id);
    const [overdue, overdueYet] = [await hold(ada), await hold(ada)];
    await letTimePass(test, overdue);
    await letTimePass(test, overdueYet);
    order = await anOrder(bob, product.id, quantityOf('ordered'));
    const [once, keyed, owner] = [await hold(ada, quantityOf('once')), await hold(ada), await hold(ada)];
    const key = randomUUID();
    return {
      ...{ adas: aCommit(ada, await hold(ada, quantityOf('adas'))) },
      ...{ bobs: aCommit(bob, await hold(bob, quantityOf('bobs'))), ordered: aCommit(bob, order.reservation_id) },
      ...{ unknown: aCommit(ada, randomUUID()), foreign: aCommit(bob, await hold(ada), randomUUID()) },
      ...{ byAdmin: aCommit(test.admin, await hold(ada, quantityOf('byAdmin'))), cancelled: aCommit(ada, cancelled) },
      ...{ expired: aCommit(ada, expired), overdue: aCommit(ada, overdue), committed: aCommit(ada, committed.id) },
      ...{ once: aCommit(ada, once), twice: aCommit(ada, once) },
      ...{ keyed: aCommit(ada, keyed, key), repeated: aCommit(ada, keyed, key) },
      ...{ replayed: aCommit(ada, replayed.id, replayed.key), mended: aCommit(ada, mended.id, mended.key) },
      ...{ overdueYet: aCommit(ada, overdueYet, randomUUID()) },
      ...{ intruder: aCommit(bob, owner), owner: aCommit(ada, owner) },
    };
  }

  beforeAll(async () => {
    [ada, bob, product] = [test.aUser(), test.aUser(), await aProduct(test, { initial_stock: 100 })];
    commits = await prepare();
    untouched = await rowsOf(untouchedOnes());
    counted = await committedSoFar();
    const batch = await inOneCommitBatch(
      test,
      names.map((name) => commits[name]),
    );
    replies = Object.fromEntries(names.map((name, index) => [name, batch.replies[index]!])) as Record<Name, Reply>;
    written = batch.written;
  });

  it('are each answered for themselves, whatever becomes of the others', () => {
    expect(names.map((name) => [name, ...answersOf([replies[name]])])).toEqual(Object.entries(expected));
    expect(names.filter((name) => replies[name].headers['idempotent-replayed'] === 'true')).toEqual(replays);
    for (const name of names) {
      const { body, headers } = replies[name];
      expect([body.request_id, headers['x-request-id']]).toEqual(Array(2).fill(commits[name].requestId));
    }
    for (const name of refused.filter((one) => expected[one].startsWith('404'))) {
      expect(replies[name].body.detail).toContain(`reservation ${commits[name].id}`);
    }
    expect(replies.repeated.body.data).toEqual(replies.keyed.body.data);
    expect(replies.replayed.body.data).toEqual(before.body.data);
    for (const header of ['location', 'etag']) {
      expect(replies.repeated.headers[header]).toBe(replies.keyed.headers[header]);
      expect(replies.replayed.headers[header]).toBe(before.headers[header]);
    }
  });

  it.each(succeeded)('make one confirmed order of it: %s', async (name) => {
    const { data } = replies[name].body;
    const [{ id }, quantity] = [commits[name], quantityOf(name)];
    const owner = ['bobs', 'ordered'].includes(name) ? bob : ada;
    const price = (quantity * 19.9).toFixed(2);
    expect(replies[name].headers).toMatchObject({ location: `/api/orders/${data.id}`, etag: '"2"' });
    const line = { product_id: product.id, sku: product.sku, name: 'Blue mug', warehouse_id: MAIN };
    expect(data).toEqual({
      ...{ id: name === 'ordered' ? order.id : expect.any(String), user_id: owner.userId, status: 'confirmed' },
      ...{ total_amount: price, currency: 'EUR', reservation_id: id, version: 2 },
      items: [{ ...line, quantity, unit_price: '19.90', line_total: price }],
      ...{ allowed_transitions: ['processing', 'cancelled'], expires_at: null },
      ...{ created_at: expect.stringMatching(/\.\d{3}Z$/), updated_at: expect.stringMatching(/\.\d{3}Z$/) },
    });
    expect(dataOf(await owner.get(`/api/orders/${data.id}`))).toEqual(data);
    const reservation = dataOf(await owner.get(`/api/reservations/${id}`));
    expect(reservation).toMatchObject({ status: 'committed', order_id: data.id, user_id: owner.userId });
  });

  it.each(succeeded)('bear the actor and the request of each in all that is written for it: %s', async (name) => {
    const [one, { data }] = [commits[name], replies[name].body];
    const [actor, isNew, quantity] = [actorOf(one), name !== 'ordered', quantityOf(name)];
    const { audit, movements, history } = await tracesOf(test, one);
    const { user_id, total_amount, currency } = data;
    const purchase = { user_id, total_amount, currency, product_ids: [product.id] };
    const created = {
      ...{ actor, action: 'order.created', object_id: data.id, old_value: null },
      new_value: { status: 'pending', version: 1, reservation_id: one.id, ...purchase },
    };
    const committed = {
      ...{ actor, action: 'reservation.committed', object_id: one.id },
      old_value: { status: 'active', expires_at: expect.any(String), order_id: data.id },
      new_value: { status: 'committed', order_id: data.id, ...purchase },
    };
    const confirmed = {
      ...{ actor, action: 'order.status_changed', object_id: data.id },
      old_value: { status: 'pending' },
      new_value: { status: 'confirmed', version: 2, reservation_id: one.id, ...purchase, reason: null },
    };
    expect(audit).toEqual(isNew ? [created, committed, confirmed] : [committed, confirmed]);
    expect(movements).toEqual([
      {
        ...{ actor, kind: 'commit', product_id: product.id, available_delta: 0, reserved_delta: -quantity },
        ...{ reservation_id: one.id, order_id: data.id },
      },
    ]);
    expect(history).toEqual([
      { actor, order_id: data.id, from_status: 'pending', to_status: 'confirmed', reason: null },
    ]);
    expect(dataOf(await test.admin.get(`/api/orders/${data.id}/history`))).toMatchObject([
      { from: 'pending', to: 'confirmed', actor, reason: null, request_id: one.requestId },
    ]);
  });

  it('leave nothing where they are refused or replayed', async () => {
    for (const name of [...refused, ...replays]) {
      expect(await tracesOf(test, commits[name])).toEqual({ audit: [], movements: [], history: [] });
    }
    expect(await rowsOf(untouchedOnes())).toEqual(untouched);
    expect(written).toEqual({ ...rowsOfCommits(succeeded.length, 1), idempotency_keys: 2 });
    // The one that kept everything waiting was committed as well.
    expect(await committedSoFar()).toBe(counted + succeeded.length + 1);
  });

  it('take what was sold from the stock, one after the other', async () => {
    const sold = succeeded.map(quantityOf).reduce((sum, quantity) => sum + quantity, 0);
    const ledger = await test.database.query<{ kind: string; delta: number; available: number; reserved: number }>(
      `SELECT kind, reserved_delta AS delta, available_after AS available, reserved_after AS reserved
       FROM stock_movements WHERE product_id = $1 ORDER BY created_at, id`,
      [product.id],
    );
    const { available, reserved } = ledger.at(-succeeded.length - 1)!;
    let left = reserved;
    for (const movement of ledger.slice(-succeeded.length)) {
      left += movement.delta;
      expect(movement).toEqual({ kind: 'commit', delta: movement.delta, available, reserved: left });
    }
    expect(left).toBe(reserved - sold);
    // One is held yet and two are overdue, which reads as available; two were sold before.
    expect(await stockOf(test, product.id)).toEqual({ available: 97 - sold, reserved: 1, total: 98 - sold });
    expect([available, left]).toEqual([95 - sold, 3]);
  });

  it('keep no key of what failed: when it is good, it is carried out', async () => {
    for (const [name, status] of [
      ['overdueYet', 201],
      ['foreign', 404],
    ] as const) {
      await giveTimeBack(commits[name].id);
      const again = await commit(commits[name]);
      expect([again.status, again.headers['idempotent-replayed']]).toEqual([status, undefined]);
    }
    for (const name of ['keyed', 'mended', 'overdueYet'] as const) {
      const again = await commit(commits[name]);
      expect([again.status, again.headers['idempotent-replayed'], again.headers['etag']]).toEqual([201, 'true', '"2"']);
    }
  });
});
