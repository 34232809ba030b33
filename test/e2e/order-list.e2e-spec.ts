import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import type { Api, Reply } from '../support/api';
import { anOrder, aProduct, dataOf } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

interface Row {
  id: string;
  status: string;
  total: string;
  at: string;
}

type Query = Record<string, string>;

const DAY = '2026-03-10';
const STATUSES = ['pending', 'confirmed', 'processing', 'shipped', 'delivered', 'cancelled'];
const MOMENTS = [
  '2026-03-09T23:59:59.999Z',
  `${DAY}T00:00:00.000Z`,
  `${DAY}T12:00:00.000Z`,
  `${DAY}T23:59:59.999Z`,
  '2026-03-11T00:00:00.000Z',
];
const TOTALS = ['9.99', '10.00', '250.50'];
const INVALID_CURSOR = { status: 400, body: { code: 'invalid_cursor' } };

describe('The list of orders', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterAll(() => test.close());

  /** Puts orders of a user into the database, at moments and totals that the API could not be told. */
  async function seed(userId: string, drafts: Partial<Row>[]): Promise<Row[]> {
    const rest = { status: 'pending', total: '10.00', at: MOMENTS[2]! };
    const rows = drafts.map((draft) => ({ id: randomUUID(), ...rest, ...draft }));
    await test.database.query(
      `INSERT INTO orders (id, user_id, status, total_amount, currency, reservation_id, created_at)
       SELECT id, $1, status, total, 'EUR', gen_random_uuid(), at
       FROM unnest($2::uuid[], $3::text[], $4::numeric[], $5::timestamptz[]) AS new (id, status, total, at)`,
      [userId, ...(['id', 'status', 'total', 'at'] as const).map((column) => rows.map((row) => row[column]))],
    );
    return rows;
  }

  const list = (api: Api, query: Query): Promise<Reply> =>
    api.get(`/api/orders?${new URLSearchParams(query).toString()}`);
  const idsOf = (reply: Reply): string[] => dataOf(reply).map((order: { id: string }) => order.id);

  async function walk(api: Api, query: Query, between: () => Promise<unknown> = async () => []): Promise<string[]> {
    const seen: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; await between()) {
      const reply = await list(api, cursor === undefined ? query : { ...query, cursor });
      seen.push(...idsOf(reply));
      cursor = reply.body.page.next_cursor;
    }
    return seen;
  }

  describe('filtered', () => {
    let user: Api;
    let rows: Row[];
    beforeAll(async () => {
      user = test.aUser();
      const drafts = STATUSES.flatMap((status) =>
        MOMENTS.flatMap((at) => TOTALS.map((total) => ({ status, at, total }))),
      );
      rows = await seed(user.userId, drafts);
      await seed(test.aUser().userId, drafts);
    });

    it.each<[query: string, count: number, keeps: (row: Row) => boolean]>([
      ['', 90, () => true],
      ['status=pending', 15, ({ status }) => status === 'pending'],
      ['status=cancelled', 15, ({ status }) => status === 'cancelled'],
      ['status=shipped,pending', 30, ({ status }) => ['pending', 'shipped'].includes(status)],
      ['status=pending&status=shipped', 30, ({ status }) => ['pending', 'shipped'].includes(status)],
      ['status=pending&status=pending&status=shipped,pending', 30, ({ status }) => /pending|shipped/.test(status)],
      [`status=${STATUSES.join(',')}`, 90, () => true],
      [`start_date=${DAY}`, 72, ({ at }) => at >= MOMENTS[1]!],
      [`end_date=${DAY}`, 72, ({ at }) => at <= MOMENTS[3]!],
      [`start_date=${DAY}&end_date=${DAY}`, 54, ({ at }) => at.startsWith(DAY)],
      [`start_date=${MOMENTS[3]}`, 36, ({ at }) => at >= MOMENTS[3]!],
      [`end_date=${MOMENTS[0]}`, 18, ({ at }) => at === MOMENTS[0]],
      [`start_date=${MOMENTS[2]}&end_date=${MOMENTS[2]}`, 18, ({ at }) => at === MOMENTS[2]],
      ['start_date=2026-03-10T14:00:00.000%2B02:00', 54, ({ at }) => at >= MOMENTS[2]!],
      ['start_date=2026-03-10T14:00:00.001%2B02:00', 36, ({ at }) => at > MOMENTS[2]!],
      ['end_date=2026-03-09T18:29:59.999-05:30', 18, ({ at }) => at <= MOMENTS[0]!],
      ['end_date=2026-03-10T00:00:00Z', 36, ({ at }) => at <= MOMENTS[1]!],
      ['start_date=2026-03-12', 0, () => false],
      [`start_date=${DAY}T23:59:59.999Z&end_date=${DAY}`, 18, ({ at }) => at === MOMENTS[3]],
      ['start_date=0001-01-01T00:00:00%2B14:00', 90, () => true],
      ['end_date=9999-12-31', 90, () => true],
      ['end_date=9999-12-31T23:59:59-14:00', 90, () => true],
      ['min_total=10', 60, ({ total }) => total !== '9.99'],
      ['max_total=10.00', 60, ({ total }) => total !== '250.50'],
      ['min_total=10.00&max_total=10.0', 30, ({ total }) => total === '10.00'],
      ['min_total=10.01&max_total=250.49', 0, () => false],
      ['min_total=0&max_total=9999999999999999999999.99', 90, () => true],
      [
        'status=shipped&min_total=10.01&end_date=2026-03-10',
        4,
        ({ status, at, total }) => status === 'shipped' && total === '250.50' && at <= MOMENTS[3]!,
      ],
      [
        `status=confirmed,cancelled&start_date=${DAY}&end_date=${MOMENTS[2]}&min_total=10&max_total=250.50`,
        8,
        (row) =>
          /^con|^can/.test(row.status) && row.at.startsWith(DAY) && row.at <= MOMENTS[2]! && row.total !== '9.99',
      ],
    ])('by ?%s has the %i of mine that match', async (query, count, keeps) => {
      const expected = rows.filter(keeps).map(({ id }) => id);
      expect(expected).toHaveLength(count);
      expect(idsOf(await user.get(`/api/orders?limit=100&${query}`)).sort()).toEqual(expected.sort());
      const asAdmin = await test.admin.get(`/api/orders?limit=100&user_id=${user.userId}&${query}`);
      expect(idsOf(asAdmin).sort()).toEqual(expected.sort());
    });

    const WRONG = {
      status: ['', 'lost', 'pending,lost', 'pending,'],
      start_date: ['2026-02-30', 'yesterday', '2026-03-10T12:00:00'],
      end_date: ['', '1773144000000'],
      min_total: ['', '-1', '1e3'],
      max_total: ['1.001', '0x1'],
      user_id: ['17'],
      sort: ['', 'cheapest'],
      limit: ['', '0', '101', '-1', '1.5', 'ten', '5&limit=6'],
      page: ['2'],
    };
    it.each(Object.entries(WRONG).flatMap(([field, values]) => values.map((value) => ({ field, value }))))(
      'refuses $field=$value instead of guessing',
      async ({ field, value }) => {
        const reply = await user.get(`/api/orders?${field}=${value}`);
        expect(reply).toMatchObject({ status: 400, body: { code: 'validation_failed' } });
        expect(reply.body.errors.every((error: { field: string }) => error.field === field)).toBe(true);
      },
    );
  });

  describe('belongs to its reader', () => {
    it('who may name themselves, and nobody else', async () => {
      const [user, other] = [test.aUser(), test.aUser()];
      const [mine] = await seed(user.userId, [{}]);
      await seed(other.userId, [{}]);
      expect(idsOf(await list(user, {}))).toEqual([mine!.id]);
      expect(idsOf(await list(user, { user_id: user.userId.toUpperCase() }))).toEqual([mine!.id]);
      expect(await list(user, { user_id: other.userId })).toMatchObject({ status: 403, body: { code: 'forbidden' } });
      expect(await test.anonymous.get('/api/orders')).toMatchObject({ status: 401, body: { code: 'unauthenticated' } });
    });

    it('and is the list of all for administrators', async () => {
      const at = '2031-01-01T00:00:00.000Z';
      const [one] = await seed(test.aUser().userId, [{ at }]);
      const [two] = await seed(test.aUser().userId, [{ at }]);
      expect(idsOf(await list(test.admin, { start_date: at, end_date: at })).sort()).toEqual([one!.id, two!.id].sort());
    });
  });

  describe('page by page', () => {
    const by = (column: 'at' | 'total', sign: number) => (left: Row, right: Row) => {
      const valueOf = (row: Row): number => (column === 'at' ? Date.parse(row.at) : Number(row.total));
      return sign * (valueOf(left) - valueOf(right) || (left.id < right.id ? -1 : 1));
    };
    const SORTS = [
      { sort: 'newest', order: by('at', -1) },
      { sort: 'oldest', order: by('at', 1) },
      { sort: 'highest_value', order: by('total', -1) },
      { sort: 'lowest_value', order: by('total', 1) },
    ];
    /** 60 orders of three milliseconds and three totals: nearly all are equal to their neighbours. */
    const drafts = Array.from({ length: 60 }, (_, index) => ({
      at: MOMENTS[index % 3]!,
      total: TOTALS[Math.floor(index / 3) % 3]!,
    }));

    it.each(SORTS)('has each once and in its place, sorted by $sort', async ({ sort, order }) => {
      const user = test.aUser();
      const expected = (await seed(user.userId, drafts)).sort(order).map(({ id }) => id);
      for (const limit of ['7', '20', '60']) {
        expect(await walk(user, { sort, limit })).toEqual(expected);
      }
    });

    it.each(SORTS)('loses and repeats none of $sort while others come in on both sides', async ({ sort, order }) => {
      const user = test.aUser();
      const expected = (await seed(user.userId, drafts)).sort(order).map(({ id }) => id);
      const newcomers = [
        { at: '2026-03-01T00:00:00.000Z', total: '0.01' },
        { at: '2026-04-01T00:00:00.000Z', total: '999.00' },
      ];
      const seen = await walk(user, { sort, limit: '20' }, () => seed(user.userId, newcomers));
      expect(seen.filter((id) => expected.includes(id))).toEqual(expected);
      expect(new Set(seen).size).toBe(seen.length);
    });

    it('is sorted by newest and has 20, unless told otherwise', async () => {
      const user = test.aUser();
      const rows = (await seed(user.userId, drafts)).sort(SORTS[0]!.order).map(({ id }) => id);
      const reply = await list(user, {});
      expect(idsOf(reply)).toEqual(rows.slice(0, 20));
      expect(reply.body.page).toEqual({ limit: 20, next_cursor: expect.any(String) });
      expect(idsOf(await list(user, { limit: '1' }))).toEqual(rows.slice(0, 1));
      expect((await list(user, { limit: '60' })).body.page).toEqual({ limit: 60, next_cursor: null });
    });

    it('sorts sums by their value, and continues behind the largest', async () => {
      const user = test.aUser();
      const totals = ['9.00', '10.00', '9999999999999999999998.99', '9999999999999999999999.99'];
      const drafts = totals.map((total) => ({ total }));
      const ids = (await seed(user.userId, drafts)).map(({ id }) => id);
      expect(await walk(user, { sort: 'lowest_value', limit: '1' })).toEqual(ids);
      expect(await walk(user, { sort: 'highest_value', limit: '1' })).toEqual([...ids].reverse());
    });

    it('ends when nothing is left', async () => {
      expect((await list(test.aUser(), {})).body).toMatchObject({ data: [], page: { limit: 20, next_cursor: null } });
    });
  });

  describe('takes a cursor', () => {
    let user: Api;
    let cursor: string;
    beforeAll(async () => {
      user = test.aUser();
      await seed(user.userId, Array(5).fill({}));
      cursor = (await list(user, { limit: '2' })).body.page.next_cursor;
    });

    it('with another limit, for it belongs to filters and sort alone', async () => {
      expect(idsOf(await list(user, { limit: '100', cursor }))).toHaveLength(3);
    });

    it.each<Record<string, string>>([
      { status: 'pending' },
      { start_date: '2020-01-01' },
      { end_date: '2030-01-01' },
      { min_total: '0' },
      { max_total: '100' },
      { sort: 'oldest' },
      { sort: 'highest_value' },
    ])('only where it came from, not with %j', async (others) => {
      expect(await list(user, { limit: '2', cursor, ...others })).toMatchObject(INVALID_CURSOR);
    });

    it('of its own reader, and of this list', async () => {
      await aProduct(test);
      await aProduct(test);
      const { next_cursor: ofAudit } = (await test.admin.get('/api/audit-logs?limit=1')).body.page;
      expect(await list(test.aUser(), { cursor })).toMatchObject(INVALID_CURSOR);
      expect(await list(test.admin, { cursor })).toMatchObject(INVALID_CURSOR);
      expect(await list(test.admin, { cursor: ofAudit })).toMatchObject(INVALID_CURSOR);
    });

    describe('as it was issued', () => {
      const forge = (change: (parts: string[]) => unknown): string => {
        const parts = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as string[];
        return Buffer.from(JSON.stringify(change(parts))).toString('base64url');
      };

      it.each(['', 'x', '%00', '\u0000', 'bnVsbA', 'W10', 'e30', '"', '..'])(
        'and refuses the text %j',
        async (text) => {
          expect(await list(user, { cursor: text })).toMatchObject(INVALID_CURSOR);
        },
      );

      it.each<{ name: string; change: (parts: string[]) => unknown }>([
        { name: 'scope', change: ([, value, id]) => ['x', value, id] },
        { name: 'id', change: ([scope, value]) => [scope, value, '17'] },
        { name: 'length', change: ([scope, value]) => [scope, value] },
        ...[
          ...['yesterday', '', '10.00', '2026-02-30T00:00:00.000Z', '2026-03-10', '+275760-09-13T00:00:00.000Z'],
          ...['-271821-04-20T00:00:00.000Z', '0000-01-01T00:00:00.000Z'],
        ].map((value) => ({ name: `time ${value}`, change: ([scope, , id]: string[]) => [scope, value, id] })),
      ])('and refuses one whose $name was changed', async ({ change }) => {
        expect((await list(user, { cursor: forge((parts) => parts) })).status).toBe(200);
        expect(await list(user, { cursor: forge(change) })).toMatchObject(INVALID_CURSOR);
      });
    });
  });

  it.each([1, 10, 25])('costs the database one statement for a page of %i orders, and one to count', async (orders) => {
    const user = test.aUser();
    const products = [await aProduct(test, { initial_stock: 100 }), await aProduct(test, { initial_stock: 100 })];
    for (let made = 0; made < orders; made += 1) {
      await anOrder(user, products[made % 2]!.id);
    }
    // Every statement of this process goes through here, the service's own pool included; nobody else works meanwhile.
    const statements = jest.spyOn(Client.prototype, 'query');
    try {
      const reply = await list(user, { limit: '100', status: 'pending', sort: 'highest_value' });
      expect(dataOf(reply).filter((order: { items: unknown[] }) => order.items.length === 1)).toHaveLength(orders);
      expect(statements).toHaveBeenCalledTimes(2);
    } finally {
      statements.mockRestore();
    }
  });
});
