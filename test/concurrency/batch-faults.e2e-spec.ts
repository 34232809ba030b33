import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { answerOf, ask, askAndForget, type Asked, asked } from '../support/asked';
import { inOneBatchOf, LOCK_LEVELS, metricOf, type OneBatch, type Opener } from '../support/batches';
import { anOrder, aProduct, aReservation, expectReconciled } from '../support/factories';
import { poisonedRequests } from '../support/poison';
import { storm, until, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

/** A lock is waited for 3 s, once. */
const ONE_WAIT_MS = 5_500;

const LOCK_RESERVATION = 'SELECT FROM reservations WHERE id = ANY($1) FOR UPDATE';
const LOCK_ORDER = 'SELECT FROM orders WHERE reservation_id = ANY($1) FOR UPDATE';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp({ LOG_LEVEL: 'fatal' });
  await test.database.query(poisonedRequests());
});
afterEach(async () => {
  await test.database.query('DELETE FROM poison');
  await expectReconciled(test);
});
afterAll(() => test.close());

/** A request, and the reservation that it is about. */
interface Change extends Asked {
  readonly reservationId: string;
}

const withKey = (): Record<string, string> => ({ 'Idempotency-Key': randomUUID() });

/** What is asked for with a reservation of one piece of a product, by somebody of their own. */
const KINDS: Record<string, (productId: string) => Promise<Change>> = {
  'a cancellation': async (productId) => {
    const who = test.aUser();
    return cancelling(who, (await aReservation(who, productId)).id);
  },
  'a cancellation with its order': async (productId) => {
    const who = test.aUser();
    return cancelling(who, (await anOrder(who, productId)).reservation_id);
  },
  'a confirmation': async (productId) => {
    const who = test.aUser();
    const { id, reservation_id: reservationId } = await anOrder(who, productId);
    return { ...asked(who, ['patch', `/api/orders/${id}/status`], { status: 'confirmed' }), reservationId };
  },
  'a new order': async (productId) => {
    const who = test.aUser();
    const { id: reservationId } = await aReservation(who, productId);
    const body = { reservation_id: reservationId };
    return { ...asked(who, ['post', '/api/orders'], body, withKey()), reservationId };
  },
};
/** Those that move stock, in a lane of their kind; the last one needs only its reservation. */
const STOCK_KINDS = Object.keys(KINDS).slice(0, -1);

function cancelling(who: Api, reservationId: string): Change {
  const request = asked(who, ['post', `/api/reservations/${reservationId}/cancel`], undefined, withKey());
  return { ...request, reservationId };
}

/** Somebody who keeps the batches of a kind waiting: for a level, or for a reservation that two batches could be about. */
async function openersOf(kind: string): Promise<Opener[]> {
  const openers: Opener[] = [];
  while (openers.length < (STOCK_KINDS.includes(kind) ? 1 : 2)) {
    const { id } = await aProduct(test);
    const change = await KINDS[kind]!(id);
    const lock = STOCK_KINDS.includes(kind)
      ? { sql: LOCK_LEVELS, values: [id] }
      : { sql: LOCK_RESERVATION, values: [[change.reservationId]] };
    openers.push({ lock, attempt: () => ask(change) });
  }
  return openers;
}

function inOneBatch(openers: Opener[], changes: readonly Change[]): Promise<OneBatch<Reply>> {
  return inOneBatchOf(
    test,
    { openers, rows: {} },
    changes.map((one) => () => ask(one)),
  );
}

/** Everything that there is of what one change is about, to the letter. */
const rowsAround = ({ reservationId, requestId, who }: Change): Promise<object[]> =>
  test.database.query(
    `SELECT to_jsonb(t) FROM reservations AS t WHERE id = $1
     UNION ALL SELECT to_jsonb(t) FROM orders AS t WHERE reservation_id = $1
     UNION ALL SELECT to_jsonb(t) FROM stock_movements AS t WHERE reservation_id = $1
     UNION ALL SELECT to_jsonb(t) FROM order_status_changes AS t WHERE request_id = $2
     UNION ALL SELECT to_jsonb(t) FROM audit_logs AS t WHERE request_id = $2 OR object_id = $1
     UNION ALL SELECT to_jsonb(t) FROM idempotency_keys AS t WHERE caller = $3`,
    [reservationId, requestId, who.userId],
  );

const severalOf = async (kind: string, productIds: readonly string[]): Promise<Change[]> => {
  const changes: Change[] = [];
  for (const id of productIds) {
    changes.push(await KINDS[kind]!(id));
  }
  return changes;
};

const isDone = (reply: Reply): boolean => reply.status < 300;

describe.each(Object.keys(KINDS))('%s that makes its batch fail', (kind) => {
  it.each(['insert', 'commit'])('fails alone at its %s, and leaves nothing behind', async (moment) => {
    const product = await aProduct(test, { initial_stock: 30 });
    const changes = await severalOf(kind, Array<string>(7).fill(product.id));
    const guilty = changes[3]!;
    await test.database.query('INSERT INTO poison VALUES ($1, $2)', [guilty.requestId, moment]);
    const before = await rowsAround(guilty);
    const { replies } = await inOneBatch(await openersOf(kind), changes);
    expect(replies.map(isDone)).toEqual(changes.map((one) => one !== guilty));
    expect(answerOf(replies[3]!)).toBe('500 internal_error');
    expect(replies[3]!.text).not.toMatch(/inside|poison|trigger|SQL/);
    expect(await rowsAround(guilty)).toEqual(before);
    await test.database.query('DELETE FROM poison');
    expect(isDone(await ask(guilty))).toBe(true);
  });
});

describe('A level that an outsider holds for longer than a lock is waited for', () => {
  it('costs those confirmations their answer that need it, once for all of them, and none of the others', async () => {
    const [held, free] = [await aProduct(test, { initial_stock: 50 }), await aProduct(test, { initial_stock: 50 })];
    const changes = await severalOf(
      'a confirmation',
      Array.from({ length: 9 }, (_, index) => (index % 3 === 1 ? free : held).id),
    );
    const isHeld = (_: unknown, index: number): boolean => index % 3 !== 1;
    const before = await storm(9, (index) => rowsAround(changes[index]!));
    const openers = await openersOf('a confirmation');
    let running: Promise<OneBatch<Reply>> | undefined;
    const startedAt = performance.now();
    const { replies } = await whileLocked(
      test.database,
      { sql: LOCK_LEVELS, values: [held.id], meanwhile: () => running! },
      () => (running = inOneBatch(openers, changes)),
    );
    expect(performance.now() - startedAt).toBeLessThan(ONE_WAIT_MS);
    expect(replies.filter(isHeld).map(answerOf)).toEqual(Array(6).fill('503 overloaded'));
    expect(replies.map(isDone)).toEqual(changes.map((one, index) => !isHeld(one, index)));
    const after = await storm(9, (index) => rowsAround(changes[index]!));
    expect(after.filter(isHeld)).toEqual(before.filter(isHeld));
    const again = await storm(9, (index) => ask(changes[index]!));
    expect(again.filter(isHeld).map(isDone)).toEqual(Array(6).fill(true));
  });
});

describe.each([
  ['a reservation', 'a confirmation', LOCK_RESERVATION],
  ['a reservation', 'a new order', LOCK_RESERVATION],
  ['an order', 'a cancellation with its order', LOCK_ORDER],
  ['an order', 'a confirmation', LOCK_ORDER],
])('The row of %s that an outsider holds for longer than a lock is waited for: %s', (_, kind, sql) => {
  it('costs only the one its answer that needs it; whoever may not use it is told nothing else than before', async () => {
    const product = await aProduct(test, { initial_stock: 50 });
    const changes = await severalOf(kind, Array<string>(5).fill(product.id));
    const heldIds = [changes[2]!.reservationId, changes[3]!.reservationId];
    changes[3] = { ...changes[3]!, who: test.aUser() };
    const openers = await openersOf(kind);
    let running: Promise<OneBatch<Reply>> | undefined;
    const { replies } = await whileLocked(
      test.database,
      { sql, values: [heldIds], meanwhile: () => running! },
      () => (running = inOneBatch(openers, changes)),
    );
    expect(replies.map((reply) => (isDone(reply) ? 'done' : answerOf(reply)))).toEqual([
      ...['done', 'done', '503 overloaded', '404 not_found', 'done'],
    ]);
    expect(isDone(await ask(changes[2]!))).toBe(true);
  });
});

describe.each(Object.keys(KINDS))('The client of %s hangs up while it waits', (kind) => {
  it('and it is not carried out; it can be asked for later', async () => {
    const product = await aProduct(test, { initial_stock: 30 });
    const [left, stayed] = await severalOf(kind, [product.id, product.id]);
    const before = await rowsAround(left!);
    const openers = await openersOf(kind);
    const meanwhile = async (): Promise<void> => {
      const waiting = (await metricOf(test, 'holdfast_queue_requests')) + 1;
      const hangUp = askAndForget(test, left!);
      await until(async () => (await metricOf(test, 'holdfast_queue_requests')) === waiting, 'it waits for its batch');
      await hangUp();
    };
    const { replies } = await inOneBatchOf(test, { openers, rows: {} }, [() => ask(stayed!)], meanwhile);
    expect(replies.map(isDone)).toEqual([true]);
    expect(await rowsAround(left!)).toEqual(before);
    expect(isDone(await ask(left!))).toBe(true);
  });
});
