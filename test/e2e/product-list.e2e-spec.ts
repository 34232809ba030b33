import type { Api } from '../support/api';
import { aProduct, aReservation, dataOf, type Product } from '../support/factories';
import { startTestApp, type TestApp, unique } from '../support/test-app';

describe('The list of products', () => {
  let test: TestApp;
  let admin: Api;
  beforeAll(async () => {
    test = await startTestApp();
    admin = test.admin;
  });
  afterAll(() => test.close());

  const fieldsOf = (body: { errors: { field: string }[] }): string[] =>
    [...new Set(body.errors.map(({ field }) => field))].sort();
  const skusOf = (reply: { body: { data: Product[] } }): string[] => reply.body.data.map(({ sku }) => sku);

  const list = (query: Record<string, string>, caller = test.anonymous) =>
    caller.get(`/api/products?${new URLSearchParams(query).toString()}`);

  it('are found by a part of sku or name, whatever its case', async () => {
    const mark = unique('q');
    const bySku = await aProduct(test, { sku: `A-${mark}-1` });
    const byName = await aProduct(test, { name: `Large ${mark} mug` });
    expect(skusOf(await list({ q: mark.toUpperCase() }))).toEqual([byName.sku, bySku.sku]);
  });

  it.each(['%', '_', '\\', "'", '100%_\\'])('are found by %j as it is written, not as a pattern', async (sign) => {
    const mark = unique('q');
    await aProduct(test, { name: `${mark}Xtail` });
    const wanted = await aProduct(test, { name: `${mark}${sign}tail` });
    expect(skusOf(await list({ q: `${mark}${sign}t` }))).toEqual([wanted.sku]);
  });

  it('are told apart by whether anything is available', async () => {
    const name = unique('stock');
    const there = await aProduct(test, { name, initial_stock: 1 });
    const none = await aProduct(test, { name, initial_stock: 0 });
    const held = await aProduct(test, { name, initial_stock: 1 });
    await aReservation(test.aUser(), held.id);
    expect(skusOf(await list({ q: name, in_stock: 'true' }))).toEqual([there.sku]);
    expect(skusOf(await list({ q: name, in_stock: 'false' }))).toEqual([held.sku, none.sku]);
    expect(skusOf(await list({ q: name }))).toHaveLength(3);
  });

  it('show those that are not active only to an administrator who asks', async () => {
    const name = unique('inactive');
    const { id, sku } = await aProduct(test, { name });
    dataOf(await admin.patch(`/api/products/${id}`, { is_active: false }));
    const query = { q: name, include_inactive: 'true' };
    expect(skusOf(await list(query, admin))).toEqual([sku]);
    expect(skusOf(await list({ q: name }, admin))).toEqual([]);
    expect((await list(query)).body.code).toBe('unauthenticated');
    expect((await list(query, test.aUser())).body.code).toBe('forbidden');
  });

  it.each(['limit=1', 'limit=100'])('take %s', async (query) => {
    const reply = await test.anonymous.get(`/api/products?${query}`);
    expect([reply.status, `limit=${reply.body.page.limit}`]).toEqual([200, query]);
  });

  it.each([
    ...[
      'limit=0',
      'limit=101',
      'limit=-1',
      'limit=',
      'limit=1.5',
      'limit=abc',
      'limit=1e1',
      'limit=%205',
      'limit=0x5',
      'limit=5&limit=6',
    ],
    ...['in_stock=1', 'in_stock=', 'in_stock=TRUE', 'include_inactive=yes', 'q=a&q=b', 'q=%00', 'page=2'],
  ])('refuse %s', async (query) => {
    const { status, body } = await admin.get(`/api/products?${query}`);
    expect([status, body.code, fieldsOf(body)]).toEqual([400, 'validation_failed', [query.split('=')[0]]]);
  });

  it('come page by page without gap or repeat, also at one moment and while others are made', async () => {
    const name = unique('page');
    const made = [];
    for (let index = 0; index < 7; index += 1) {
      made.push((await aProduct(test, { name })).sku);
    }
    const oldest = '(SELECT min(created_at) FROM products WHERE name = $1)';
    await test.database.query(`UPDATE products SET created_at = ${oldest} WHERE name = $1 AND sku = ANY($2)`, [
      name,
      made.slice(0, 5),
    ]);
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const reply = await list({ q: name, limit: '2', ...(cursor && { cursor }) });
      seen.push(...skusOf(reply));
      cursor = reply.body.page.next_cursor;
      await aProduct(test, { name });
    }
    expect(seen).toEqual(made.reverse());
  });

  it('refuse a cursor of other filters or of another list', async () => {
    const name = unique('cursor');
    await aProduct(test, { name });
    await aProduct(test, { name });
    const cursor: string = (await list({ q: name, limit: '1' })).body.page.next_cursor;
    expect((await list({ q: name, limit: '2', cursor })).status).toBe(200);
    const others: Record<string, string>[] = [{}, { q: `${name}x` }, { q: name, in_stock: 'true' }];
    for (const other of others) {
      expect((await list({ ...other, cursor })).body).toMatchObject({ status: 400, code: 'invalid_cursor' });
    }
    expect((await admin.get(`/api/warehouses?cursor=${cursor}`)).body.code).toBe('invalid_cursor');
  });

  it('refuse a cursor that somebody made up', async () => {
    const name = unique('cursor');
    await aProduct(test, { name });
    await aProduct(test, { name });
    const cursor: string = (await list({ q: name, limit: '1' })).body.page.next_cursor;
    const [scope, value, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const madeUp = [
      [scope, value, 'x'],
      [scope, 'yesterday', id],
      [scope, '2026-02-30T00:00:00.000Z', id],
      ['x', value, id],
      [scope],
      {},
      null,
    ];
    const farYears = ['+275760-09-13T00:00:00.000Z', '-000001-01-01T00:00:00.000Z', '0000-01-01T00:00:00.000Z'].map(
      (year) => [scope, year, id],
    );
    const texts = [...madeUp, ...farYears].map((parts) => Buffer.from(JSON.stringify(parts)).toString('base64url'));
    for (const text of [...texts, 'abc', cursor.slice(1), '', "'"]) {
      expect({ text, code: (await list({ q: name, cursor: text })).body.code }).toEqual({
        text,
        code: 'invalid_cursor',
      });
    }
  });
});
