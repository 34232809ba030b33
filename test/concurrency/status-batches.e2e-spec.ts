import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { answerOf, ask, type Asked, asked, tracesOf } from '../support/asked';
import { inOneBatchOf, LOCK_LEVELS } from '../support/batches';
import {
  anOrder,
  aProduct,
  bring,
  dataOf,
  expectReconciled,
  letTimePass,
  type Order,
  type Product,
  stockOf,
} from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(async () => {
  await expectReconciled(test);
  await test.close();
});

interface Case {
  /** Where the order is before. */
  readonly at: string[];
  readonly to: string;
  readonly answer: string;
  readonly by?: 'admin' | 'stranger';
  readonly isOverdue?: boolean;
  readonly ifMatch?: string;
  readonly reason?: string;
  /** What the change does to the stock, and how the reservation ends by that. */
  readonly moves?: readonly [kind: string, available: number, reserved: number, ending: string | undefined];
  /** Another case, whose order it is. */
  readonly ofThe?: string;
}

/** In the order of their arrival. */
const CASES: Record<string, Case> = {
  confirmed: { at: [], to: 'confirmed', answer: '200', moves: ['commit', 0, -1, 'committed'] },
  released: { at: [], to: 'cancelled', answer: '200', reason: 'no', moves: ['release', 1, -1, 'cancelled'] },
  stale: { at: [], to: 'confirmed', ifMatch: '"7"', answer: '412 version_mismatch' },
  'released too late': { at: [], to: 'cancelled', isOverdue: true, answer: '409 invalid_transition' },
  'confirmed too late': { at: [], to: 'confirmed', isOverdue: true, answer: '409 expired' },
  restocked: { at: ['confirmed'], to: 'cancelled', answer: '200', moves: ['restock', 1, 0, undefined] },
  processing: { at: ['confirmed'], to: 'processing', by: 'admin', answer: '200' },
  'processing by its owner': { at: ['confirmed'], to: 'processing', answer: '403 forbidden' },
  skipping: { at: [], to: 'shipped', by: 'admin', answer: '409 invalid_transition' },
  "somebody else's": { at: [], to: 'cancelled', by: 'stranger', answer: '404 not_found' },
  first: { at: [], to: 'confirmed', by: 'admin', ifMatch: '"1"', answer: '200', moves: ['commit', 0, -1, 'committed'] },
  second: {
    at: [],
    to: 'cancelled',
    ofThe: 'first',
    ifMatch: '"2"',
    answer: '200',
    moves: ['restock', 1, 0, undefined],
  },
  third: { at: [], to: 'processing', by: 'admin', ofThe: 'first', ifMatch: '"2"', answer: '412 version_mismatch' },
};
const names = Object.keys(CASES);
const succeeded = names.filter((name) => CASES[name]!.answer === '200');

describe('The changes of a status of one batch', () => {
  let product: Product;
  let ada: Api;
  const orders = new Map<string, Order>();
  const requests = new Map<string, Asked>();
  const replies = new Map<string, Reply>();
  let written: Record<string, number>;
  let gone: Reply;

  const changing = (who: Api, id: string, { to, reason, ifMatch }: Pick<Case, 'to' | 'reason' | 'ifMatch'>): Asked =>
    asked(who, ['patch', `/api/orders/${id}/status`], { status: to, reason }, ifMatch ? { 'If-Match': ifMatch } : {});

  async function prepare(name: string): Promise<void> {
    const { at, by, isOverdue, ofThe } = CASES[name]!;
    const order = orders.get(ofThe ?? '') ?? (await anOrder(ada, product.id));
    await bring(test, order.id, ...at);
    if (isOverdue) {
      await letTimePass(test, order.reservation_id);
    }
    orders.set(name, order);
    const who = by === 'admin' ? test.admin : by === 'stranger' ? test.aUser() : ada;
    requests.set(name, changing(who, order.id, CASES[name]!));
  }

  beforeAll(async () => {
    [product, ada] = [await aProduct(test, { initial_stock: 50 }), test.aUser()];
    for (const name of names) {
      await prepare(name);
    }
    const gate = await aProduct(test);
    const { id } = await anOrder(ada, gate.id);
    const opener = {
      lock: { sql: LOCK_LEVELS, values: [gate.id] },
      attempt: () => ask(changing(ada, id, { to: 'confirmed' })),
    };
    const all = [...names.map((name) => requests.get(name)!), changing(ada, randomUUID(), { to: 'cancelled' })];
    const batch = await inOneBatchOf(
      test,
      // Of three for one order each comes in a batch of its own.
      { openers: [opener], rows: { stock_movements: 1, order_status_changes: 1, audit_logs: 2 } },
      all.map((one) => () => ask(one)),
    );
    names.forEach((name, index) => replies.set(name, batch.replies[index]!));
    gone = batch.replies.at(-1)!;
    written = batch.written;
  });

  it('are each answered for themselves, whatever becomes of the others', () => {
    const answers = names.map((name) => [name, answerOf(replies.get(name)!)]);
    expect(answers).toEqual(names.map((name) => [name, CASES[name]!.answer]));
    expect(answerOf(gone)).toBe('404 not_found');
    for (const name of names) {
      expect(replies.get(name)!.body.request_id).toBe(requests.get(name)!.requestId);
    }
    expect(replies.get('skipping')!.body).toMatchObject({ from: 'pending', to: 'shipped' });
    expect(replies.get('third')!.body.current_version).toBe(3);
  });

  it.each(succeeded)('say what the order is now: %s', async (name) => {
    const { body, headers } = replies.get(name)!;
    const before = orders.get(name)!;
    const version = before.version + CASES[name]!.at.length + (name === 'second' ? 2 : 1);
    expect(body.data).toMatchObject({ id: before.id, status: CASES[name]!.to, version, total_amount: '19.90' });
    expect(body.data.items).toMatchObject([{ product_id: product.id, quantity: 1 }]);
    expect(headers['etag']).toBe(`"${version}"`);
    expect(body.data.updated_at > body.data.created_at).toBe(true);
    // The order of the first has gone on.
    if (name !== 'first') {
      expect(dataOf(await ada.get(`/api/orders/${before.id}`))).toEqual(body.data);
    }
  });

  it.each(succeeded)('bear the actor and the request of each in all that is written for it: %s', async (name) => {
    const { at, to, moves, reason = null } = CASES[name]!;
    const { id, reservation_id } = orders.get(name)!;
    const actor = `user:${requests.get(name)!.who.userId}`;
    const from = name === 'second' ? 'confirmed' : (at.at(-1) ?? 'pending');
    const { audit, movements, history } = await tracesOf(test, requests.get(name)!);
    const [kind, available_delta, reserved_delta, ending] = moves ?? [];
    const ended = {
      ...{ actor, action: `reservation.${ending}`, object_id: reservation_id },
      old_value: { status: 'active', expires_at: expect.any(String), order_id: id },
      new_value: expect.objectContaining({ status: ending, order_id: id }),
    };
    const changed = {
      ...{ actor, action: 'order.status_changed', object_id: id },
      ...{ old_value: { status: from }, new_value: expect.objectContaining({ status: to, reason }) },
    };
    expect(audit).toEqual(ending ? [ended, changed] : [changed]);
    const moved = {
      actor,
      kind,
      product_id: product.id,
      available_delta,
      reserved_delta,
      reservation_id,
      order_id: id,
    };
    expect(movements).toEqual(moves ? [moved] : []);
    expect(history).toEqual([{ actor, order_id: id, from_status: from, to_status: to, reason }]);
    if (ending) {
      const rows = await test.database.query('SELECT status FROM reservations WHERE id = $1', [reservation_id]);
      expect(rows).toEqual([{ status: ending }]);
    }
  });

  it('leave nothing where they are refused', async () => {
    for (const name of names.filter((one) => !succeeded.includes(one))) {
      expect(await tracesOf(test, requests.get(name)!)).toEqual({ audit: [], movements: [], history: [] });
    }
    const moving = succeeded.filter((name) => CASES[name]!.moves);
    const ending = moving.filter((name) => CASES[name]!.moves![3]);
    expect(written).toEqual({
      ...{ stock_movements: moving.length, order_status_changes: succeeded.length },
      audit_logs: succeeded.length + ending.length,
    });
  });

  it('leave the stock as the changes say', async () => {
    // Sold: confirmed, processing, and the one that its owner may not bring on. Held: stale, skipping, somebody else's.
    expect(await stockOf(test, product.id)).toEqual({ available: 44, reserved: 3, total: 47 });
  });
});
