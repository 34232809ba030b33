import { randomUUID } from 'node:crypto';
import type { Reply } from '../support/api';
import { askAndForget } from '../support/asked';
import { LOCK_LEVELS, metricOf, type OneBatch } from '../support/batches';
import {
  aCommit,
  answersOf,
  commit,
  type Commit,
  inOneCommitBatch,
  requestOf,
  rowsOfCommits,
} from '../support/commits';
import { anOrder, aProduct, aReservation, expectReconciled, stockOf } from '../support/factories';
import { POISONED_KEYS, poisonedRequests } from '../support/poison';
import { storm, tally, untilQueued, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

/** A lock is waited for 3 s, once. */
const ONE_WAIT_MS = 5_900;

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp({ LOG_LEVEL: 'fatal' });
  await test.database.query(`${poisonedRequests('order_status_changes')}; ${POISONED_KEYS}`);
});
afterEach(async () => {
  await test.database.query('DELETE FROM poison');
  await expectReconciled(test);
});
afterAll(() => test.close());

const poison = (what: string, moment: string): Promise<object[]> =>
  test.database.query('INSERT INTO poison VALUES ($1, $2)', [what, moment]);

/** A commit with a key, by somebody of their own, of one piece; with `isOrdered`, of a hold that has its order. */
async function aKeyedCommit(productId: string, isOrdered = false): Promise<Commit> {
  const user = test.aUser();
  const id = isOrdered ? (await anOrder(user, productId)).reservation_id : (await aReservation(user, productId)).id;
  return aCommit(user, id, randomUUID());
}

/** Everything that there is of what one commit changes, to the letter. */
const rowsAround = ({ who, id, requestId, key }: Commit): Promise<object[]> =>
  test.database.query(
    `SELECT to_jsonb(t) FROM reservations AS t WHERE id = $1
     UNION ALL SELECT to_jsonb(t) FROM orders AS t WHERE reservation_id = $1 OR user_id = $2
     UNION ALL SELECT to_jsonb(t) FROM stock_movements AS t WHERE reservation_id = $1
     UNION ALL SELECT to_jsonb(t) FROM order_status_changes AS t WHERE request_id = $3
     UNION ALL SELECT to_jsonb(t) FROM audit_logs AS t WHERE request_id = $3 OR object_id = $1
     UNION ALL SELECT to_jsonb(t) FROM idempotency_keys AS t WHERE key = $4`,
    [id, who.userId, requestId, key ?? ''],
  );

const committedSoFar = (): Promise<number> => metricOf(test, 'holdfast_reservations_total{outcome="committed"}');

describe('One commit that makes its batch fail', () => {
  it.each([
    ['insert', 'made', 4],
    ['insert', 'confirmed', 5],
    ['commit', 'made', 4],
    ['commit', 'confirmed', 5],
  ])('fails alone when it is its %s that fails and its order is %s, and leaves nothing behind', async (...row) => {
    const [moment, , culprit] = row;
    const product = await aProduct(test, { initial_stock: 30 });
    const commits: Commit[] = [];
    while (commits.length < 10) {
      commits.push(await aKeyedCommit(product.id, commits.length === 5 || commits.length === 8));
    }
    const [guilty, confirmed] = [commits[culprit]!, culprit === 5 ? 1 : 2];
    await poison(guilty.requestId, moment);
    const [before, counted] = [await rowsAround(guilty), await committedSoFar()];

    const { replies, written } = await inOneCommitBatch(test, commits);
    expect(answersOf(replies)).toEqual(commits.map((one) => (one === guilty ? '500 internal_error' : '201')));
    expect(replies[culprit]!.body.request_id).toBe(guilty.requestId);
    expect(replies[culprit]!.text).not.toMatch(/inside|poison|trigger|SQL/);
    expect(await rowsAround(guilty)).toEqual(before);
    expect(written).toEqual({ ...rowsOfCommits(9, confirmed), idempotency_keys: 9 });
    expect(await stockOf(test, product.id)).toEqual({ available: 20, reserved: 1, total: 21 });
    // The one that kept everything waiting was committed as well.
    expect(await committedSoFar()).toBe(counted + 10);

    await test.database.query('DELETE FROM poison');
    const again = await storm(10, (index) => commit(commits[index]!));
    expect(again.map(({ status, headers }) => [status, headers['idempotent-replayed']])).toEqual(
      commits.map((one) => [201, one === guilty ? undefined : 'true']),
    );
    expect(await stockOf(test, product.id)).toEqual({ available: 20, reserved: 0, total: 20 });
  });

  it('costs nobody the answer to what is committed, if it comes second for its reservation and fails then', async () => {
    const product = await aProduct(test);
    const [first, other] = [await aKeyedCommit(product.id), await aKeyedCommit(product.id)];
    const [early, late, second] = [aCommit(first.who, first.id), aCommit(other.who, other.id), first];
    await poison(second.key!, 'key');
    const { replies, written } = await inOneCommitBatch(test, [early, second, late]);
    expect(answersOf(replies)).toEqual(['201', '500 internal_error', '201']);
    expect(written).toEqual(rowsOfCommits(2));
    expect(await stockOf(test, product.id)).toEqual({ available: 8, reserved: 0, total: 8 });
  });
});

describe('A level that an outsider holds for longer than a lock is waited for', () => {
  it.each([
    [6, 3],
    [28, 14],
  ])(
    'costs %i commits their answer that need it, once and for all of them, and none of %i others',
    async (...sizes) => {
      const [refused, served] = sizes;
      const [held, free] = [await aProduct(test, { initial_stock: 50 }), await aProduct(test, { initial_stock: 50 })];
      const isFree = (_: unknown, index: number): boolean => index % 3 === 1;
      const isHeld = (_: unknown, index: number): boolean => index % 3 !== 1;
      const commits: Commit[] = [];
      while (commits.length < refused + served) {
        const index = commits.length;
        commits.push(await aKeyedCommit((isFree(null, index) ? free : held).id, index > 2 && index < 6));
      }
      const before = await storm(commits.length, (index) => rowsAround(commits[index]!));
      let running: Promise<OneBatch<Reply>> | undefined;
      const startedAt = performance.now();
      const { replies, written } = await whileLocked(
        test.database,
        { sql: LOCK_LEVELS, values: [held.id], meanwhile: () => running! },
        () => (running = inOneCommitBatch(test, commits)),
      );
      const lasted = performance.now() - startedAt;
      expect(tally(replies.filter(isFree))).toEqual({ '201': served });
      expect(tally(replies.filter(isHeld))).toEqual({ '503 overloaded': refused });
      expect(new Set(replies.filter(isHeld).map(({ headers }) => headers['retry-after']))).toEqual(new Set(['1']));
      expect(written).toEqual({ ...rowsOfCommits(served, 1), idempotency_keys: served });
      const after = await storm(commits.length, (index) => rowsAround(commits[index]!));
      expect(after.filter(isHeld)).toEqual(before.filter(isHeld));
      expect(await stockOf(test, held.id)).toEqual({ available: 50 - refused, reserved: refused, total: 50 });
      expect(await stockOf(test, free.id)).toEqual({ available: 50 - served, reserved: 0, total: 50 - served });
      expect(lasted).toBeLessThan(ONE_WAIT_MS);

      const again = await storm(commits.length, (index) => commit(commits[index]!));
      expect(again.map(({ status, headers }) => [status, headers['idempotent-replayed']])).toEqual(
        commits.map((one, index) => [201, isFree(one, index) ? 'true' : undefined]),
      );
      expect(await stockOf(test, held.id)).toEqual({ available: 50 - refused, reserved: 0, total: 50 - refused });
    },
  );
});

describe('A commit whose client hangs up while it waits', () => {
  it('is not carried out: its reservation stays active, and can be committed later', async () => {
    const product = await aProduct(test);
    const [opener, left, stayed] = [
      await aKeyedCommit(product.id),
      await aKeyedCommit(product.id),
      await aKeyedCommit(product.id),
    ];
    const before = await rowsAround(left);
    let running: Promise<Reply> | undefined;
    const meanwhile = async (): Promise<void> => {
      const hangUp = askAndForget(test, requestOf(left));
      await untilQueued(test, 1);
      running = commit(stayed);
      await untilQueued(test, 2);
      await hangUp();
    };
    const first = await whileLocked(test.database, { sql: LOCK_LEVELS, values: [product.id], meanwhile }, () =>
      commit(opener),
    );
    expect(answersOf([first, await running!])).toEqual(['201', '201']);
    expect(await rowsAround(left)).toEqual(before);
    expect(await metricOf(test, 'holdfast_queue_requests')).toBe(0);
    expect(await stockOf(test, product.id)).toEqual({ available: 7, reserved: 1, total: 8 });
    const again = await commit(left);
    expect([again.status, again.headers['idempotent-replayed']]).toEqual([201, undefined]);
  });
});
