import { type Api, type Reply } from '../support/api';
import { answerOf } from '../support/asked';
import { anOrder, aProduct, aReservation, dataOf, expectReconciled, letTimePass, stockOf } from '../support/factories';
import { inLine, queuedAt, storm, tally, until, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const LOCK_RESERVATION = 'SELECT FROM reservations WHERE id = $1 FOR UPDATE';
const LOCK_LEVELS = 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE';
const END_IT = `UPDATE reservations SET expires_at = clock_timestamp() - interval '1 second' WHERE id = $1`;

type Action = 'commit' | 'cancel' | 'extend';

const act = (user: Api, id: string, action: Action): Promise<Reply> =>
  user.post(`/api/reservations/${id}/${action}`, action === 'extend' ? { ttl_seconds: 900 } : undefined);

/** The stock of a product with 10 pieces, after one of them was held and then this became of the hold. */
const STOCK_AFTER: Record<string, object> = {
  active: { available: 9, reserved: 1, total: 10 },
  committed: { available: 9, reserved: 0, total: 9 },
  cancelled: { available: 10, reserved: 0, total: 10 },
  expired: { available: 10, reserved: 0, total: 10 },
};

describe('Races for one reservation', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp({ DATABASE_POOL_SIZE: '20' });
  });
  afterEach(() => expectReconciled(test));
  afterAll(() => test.close());

  async function aHold(): Promise<{ user: Api; productId: string; id: string }> {
    const [product, user] = [await aProduct(test), test.aUser()];
    return { user, productId: product.id, id: (await aReservation(user, product.id)).id };
  }

  const statusOf = async (id: string): Promise<string> =>
    dataOf(await test.admin.get(`/api/reservations/${id}`)).status;

  it.each([
    ['commit', 201, 'committed'],
    ['cancel', 200, 'cancelled'],
  ] as const)('lets one of 20 at once %s it', async (action, status, becomes) => {
    const { user, productId, id } = await aHold();
    const replies = await storm(20, () => act(user, id, action));
    expect(tally(replies)).toEqual({ [status]: 1, '409 reservation_not_active': 19 });
    for (const { body } of replies.filter((reply) => reply.status === 409)) {
      expect(body.reservation_status).toBe(becomes);
    }
    expect(await stockOf(test, productId)).toEqual(STOCK_AFTER[becomes]);
  });

  it('has one end, whoever comes first of commit, cancel, extend and the end of its time', async () => {
    const endings = await storm(25, async () => {
      const { user, productId, id } = await aHold();
      const [commit, cancel, extend] = await Promise.all([
        act(user, id, 'commit'),
        act(user, id, 'cancel'),
        act(user, id, 'extend'),
        letTimePass(test, id).then(() => test.sweep()),
      ]);
      await test.sweep();
      const status = await statusOf(id);
      expect({ commit: commit.status, cancel: cancel.status }).toEqual({
        commit: status === 'committed' ? 201 : 409,
        cancel: status === 'cancelled' ? 200 : 409,
      });
      for (const { status: answer, body } of [commit, cancel, extend]) {
        expect(answer === 409 ? body.reservation_status : status).toBe(status);
      }
      expect(await stockOf(test, productId)).toEqual(STOCK_AFTER[status]);
      return status;
    });
    expect(endings.filter((status) => !['committed', 'cancelled', 'expired'].includes(status))).toEqual([]);
  });

  it.each<[Action, number, Action, number, string]>([
    ['commit', 201, 'commit', 409, 'committed'],
    ['commit', 201, 'cancel', 409, 'committed'],
    ['commit', 201, 'extend', 409, 'committed'],
    ['cancel', 200, 'commit', 409, 'cancelled'],
    ['cancel', 200, 'cancel', 409, 'cancelled'],
    ['cancel', 200, 'extend', 409, 'cancelled'],
    ['extend', 200, 'commit', 201, 'committed'],
    ['extend', 200, 'cancel', 200, 'cancelled'],
    ['extend', 200, 'extend', 200, 'active'],
  ])(
    'answers %s with %i to the first in line, and %s with %i to the second: it is %s',
    async (first, firstStatus, second, secondStatus, end) => {
      const { user, productId, id } = await aHold();
      const [ahead, behind] = [(): Promise<Reply> => act(user, id, first), (): Promise<Reply> => act(user, id, second)];
      // Commits and cancellations stand in one line, extensions of one reservation in another; else the second waits for the row.
      const isQueued = (first === 'extend') === (second === 'extend');
      const attempts = [ahead, isQueued ? queuedAt(test, behind) : behind];
      const replies = await inLine(test.database, { sql: LOCK_RESERVATION, values: [id] }, attempts);
      expect(replies.map(({ status }) => status)).toEqual([firstStatus, secondStatus]);
      if (secondStatus === 409) {
        expect(replies[1]!.body).toMatchObject({ code: 'reservation_not_active', reservation_status: end });
      }
      expect(await statusOf(id)).toBe(end);
      expect(await stockOf(test, productId)).toEqual(STOCK_AFTER[end]);
    },
  );

  it.each<Action>(['commit', 'cancel', 'extend'])(
    'refuses to %s it if its time ends while that waits for the reservation',
    async (action) => {
      const { user, productId, id } = await aHold();
      const meanwhile = { sql: END_IT, values: [id] };
      const { status, body } = await whileLocked(
        test.database,
        { sql: LOCK_RESERVATION, values: [id], meanwhile },
        () => act(user, id, action),
      );
      expect([status, body.code, body.reservation_status]).toEqual([409, 'reservation_not_active', 'expired']);
      expect(await test.sweep()).toBe(1);
      expect(await stockOf(test, productId)).toEqual(STOCK_AFTER['expired']);
    },
  );

  it.each<[string, string, (user: Api, hold: string, order: string) => Promise<Reply>]>([
    ['committed', '409 expired', (user, hold) => act(user, hold, 'commit')],
    ['cancelled', '409 expired', (user, hold) => act(user, hold, 'cancel')],
    [
      'confirmed',
      '409 expired',
      (user, _, order) => user.patch(`/api/orders/${order}/status`, { status: 'confirmed' }),
    ],
    [
      'called off',
      '409 invalid_transition',
      (user, _, order) => user.patch(`/api/orders/${order}/status`, { status: 'cancelled' }),
    ],
  ])(
    'looks at the clock after the last lock: what runs out while its stock is locked is not %s, and the sweep passes it by',
    async (_, told, change) => {
      const [product, user] = [await aProduct(test), test.aUser()];
      const { id: order, reservation_id: hold } = await anOrder(user, product.id);
      const isOver = async (): Promise<boolean> => {
        const sql = 'SELECT FROM reservations WHERE id = $1 AND expires_at <= clock_timestamp()';
        return (await test.database.query(sql, [hold])).length > 0;
      };
      let swept: number | undefined;
      const meanwhile = async (): Promise<void> => {
        await until(isOver, 'the hold is over');
        swept = await test.sweep();
      };
      // Long enough to come to wait, shorter than a lock is waited for.
      const soon = `UPDATE reservations SET expires_at = clock_timestamp() + interval '2 seconds' WHERE id = $1`;
      await test.database.query(soon, [hold]);
      const lock = { sql: LOCK_LEVELS, values: [product.id], meanwhile };
      const reply = await whileLocked(test.database, lock, () => change(user, hold, order));
      expect([swept, answerOf(reply)]).toEqual([0, told]);
      expect(await test.sweep()).toBe(1);
      expect(await stockOf(test, product.id)).toEqual({ available: 10, reserved: 0, total: 10 });
    },
  );

  it.each<Action>(['commit', 'cancel', 'extend'])(
    'refuses to %s it behind the sweep that is expiring it',
    async (action) => {
      const { user, productId, id } = await aHold();
      await letTimePass(test, id);
      const attempts: (() => Promise<number | Reply>)[] = [() => test.sweep(), () => act(user, id, action)];
      const [expired, reply] = await inLine(test.database, { sql: LOCK_LEVELS, values: [productId] }, attempts);
      expect(expired).toBe(1);
      expect(reply).toMatchObject({
        status: 409,
        body: { code: 'reservation_not_active', reservation_status: 'expired' },
      });
      expect(await stockOf(test, productId)).toEqual(STOCK_AFTER['expired']);
    },
  );

  it('is left by a buyer who is short, if it got more time while that buyer waited to expire it', async () => {
    const product = await aProduct(test, { initial_stock: 1 });
    const { id } = await aReservation(test.aUser(), product.id);
    await letTimePass(test, id);
    const meanwhile = {
      sql: `UPDATE reservations SET expires_at = clock_timestamp() + interval '1 hour' WHERE id = $1`,
      values: [id],
    };
    const reply = await whileLocked(test.database, { sql: LOCK_RESERVATION, values: [id], waiters: 0, meanwhile }, () =>
      test.aUser().post('/api/reservations', { product_id: product.id, quantity: 1 }),
    );
    expect(reply.body.code).toBe('insufficient_stock');
    expect(await statusOf(id)).toBe('active');
  });

  it('is expired once, however many sweeps and short buyers are after it', async () => {
    const product = await aProduct(test, { initial_stock: 30 });
    const user = test.aUser();
    const holds = await storm(30, (index) =>
      index % 2 ? aReservation(user, product.id) : anOrder(user, product.id).then(({ reservation_id: id }) => ({ id })),
    );
    await Promise.all(holds.map(({ id }) => letTimePass(test, id)));
    const buyers = storm(10, () => test.aUser().post('/api/reservations', { product_id: product.id, quantity: 3 }));
    const sweeps = storm(5, () => test.sweep());
    expect(tally(await buyers)).toEqual({ '201': 10 });
    await sweeps;
    const expiries = await test.database.query(
      `SELECT reservation_id FROM stock_movements WHERE product_id = $1 AND kind = 'expire' GROUP BY reservation_id HAVING count(*) = 1`,
      [product.id],
    );
    expect(expiries).toHaveLength(30);
    expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 30, total: 30 });
  });

  it('is expired by exactly one of the sweeps that run at once', async () => {
    const product = await aProduct(test, { initial_stock: 40 });
    const holds = await storm(40, (index) =>
      index % 2
        ? aReservation(test.aUser(), product.id)
        : anOrder(test.aUser(), product.id).then(({ reservation_id: id }) => ({ id })),
    );
    await Promise.all(holds.map(({ id }) => letTimePass(test, id)));
    const expired = await storm(6, () => test.sweep());
    expect(expired.reduce((sum, count) => sum + count, 0)).toBe(40);
    expect(await stockOf(test, product.id)).toEqual({ available: 40, reserved: 0, total: 40 });
  });
});
