import { randomUUID } from 'node:crypto';
import type { Api } from '../support/api';
import { rowCounts } from '../support/database';
import { aWarehouse, dataOf } from '../support/factories';
import { startTestApp, type TestApp, unique } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';

describe('Warehouses', () => {
  let test: TestApp;
  let admin: Api;
  beforeAll(async () => {
    test = await startTestApp();
    admin = test.admin;
  });
  afterAll(() => test.close());

  async function allCodes(limit: number): Promise<string[]> {
    const codes: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const reply = await test.aUser().get(`/api/warehouses?limit=${limit}${cursor && `&cursor=${cursor}`}`);
      codes.push(...dataOf(reply).map(({ code }: { code: string }) => code));
      expect(reply.body.data.length).toBeLessThanOrEqual(limit);
      cursor = reply.body.page.next_cursor;
    }
    return codes;
  }

  it('have MAIN among them from the beginning', async () => {
    const rows = dataOf(await test.aUser().get('/api/warehouses?limit=100'));
    expect(rows).toContainEqual(expect.objectContaining({ id: MAIN, code: 'MAIN', priority: 100, is_active: true }));
  });

  it.each([1, 2, 100])('are listed by priority, and of one priority the oldest first, %d to a page', async (limit) => {
    const late = await aWarehouse(test, { priority: 1_000_000 });
    const first = await aWarehouse(test, { priority: 0 });
    const [older, younger] = [await aWarehouse(test), await aWarehouse(test)];
    const wanted = [first.code, 'MAIN', older.code, younger.code, late.code];
    const codes = await allCodes(limit);
    expect(codes.filter((code) => wanted.includes(code))).toEqual(wanted);
    expect(new Set(codes).size).toBe(codes.length);
  });

  it('are made with defaults, and the audit log says by whom', async () => {
    const code = unique('WH');
    const reply = await admin.post('/api/warehouses', { code, name: 'Berlin' });
    const { id } = reply.body.data;
    expect([reply.status, reply.headers['location']]).toEqual([201, `/api/warehouses/${id}`]);
    expect(reply.body.data).toMatchObject({ code, name: 'Berlin', priority: 100, is_active: true });
    const [row] = dataOf(await admin.get(`/api/audit-logs?object_id=${id}`));
    expect(row).toMatchObject({
      action: 'warehouse.created',
      actor: `user:${admin.userId}`,
      old_value: null,
      new_value: { code, priority: 100 },
    });
    expect(row.request_id).toBe(reply.body.request_id);
  });

  it('change what is given and nothing else, and the audit log says what was', async () => {
    const { id, code } = await aWarehouse(test, { priority: 7 });
    const reply = await admin.patch(`/api/warehouses/${id}`, { name: 'Hamburg', is_active: false });
    expect(reply.body.data).toMatchObject({ id, code, name: 'Hamburg', priority: 7, is_active: false });
    const [row] = dataOf(await admin.get(`/api/audit-logs?object_id=${id}&action=warehouse.updated`));
    expect(row.old_value).toMatchObject({ code, name: 'A warehouse', priority: 7, is_active: true });
    expect(row.new_value).toMatchObject({ code, name: 'Hamburg', priority: 7, is_active: false });
  });

  it('keep their code for themselves, whether another is made or changed', async () => {
    const [one, other] = [await aWarehouse(test), await aWarehouse(test)];
    const before = await rowCounts(test.database);
    const duplicate = { status: 409, code: 'duplicate', field: 'code' };
    expect((await admin.post('/api/warehouses', { code: one.code, name: 'Twin' })).body).toMatchObject(duplicate);
    expect((await admin.patch(`/api/warehouses/${other.id}`, { code: one.code })).body).toMatchObject(duplicate);
    expect(await rowCounts(test.database)).toEqual(before);
    expect((await admin.patch(`/api/warehouses/${one.id}`, { code: one.code })).status).toBe(200);
  });

  it.each([
    [{ name: 'No code' }, 'code'],
    [{ code: ' ', name: 'Blank' }, 'code'],
    [{ code: 'X'.repeat(65), name: 'Long' }, 'code'],
    [{ code: 'X' }, 'name'],
    [{ code: 'X', name: 'Y', priority: -1 }, 'priority'],
    [{ code: 'X', name: 'Y', priority: 1_000_001 }, 'priority'],
    [{ code: 'X', name: 'Y', priority: '5' }, 'priority'],
    [{ code: 'X', name: 'Y', is_active: null }, 'is_active'],
    [{ code: 'X', name: 'Y', id: randomUUID() }, 'id'],
  ])('are not made of %j', async (body, field) => {
    const reply = await admin.post('/api/warehouses', body);
    expect(reply.body).toMatchObject({ status: 400, code: 'validation_failed' });
    expect(new Set(reply.body.errors.map((error: { field: string }) => error.field))).toEqual(new Set([field]));
  });

  it.each([[{}], [{ code: null }], [{ name: null }], [{ priority: null }], [{ is_active: null }], [{ priority: 1.5 }]])(
    'are not changed by %j',
    async (body) => {
      const { id } = await aWarehouse(test);
      const before = await rowCounts(test.database);
      expect((await admin.patch(`/api/warehouses/${id}`, body)).body).toMatchObject({
        status: 400,
        code: 'validation_failed',
      });
      expect(await rowCounts(test.database)).toEqual(before);
    },
  );

  it('are 404 when unknown', async () => {
    expect((await admin.patch(`/api/warehouses/${randomUUID()}`, { name: 'New' })).body).toMatchObject({
      status: 404,
      code: 'not_found',
    });
  });

  it('are listed for whoever is signed in, and made and changed by administrators only', async () => {
    const attempts = (caller: Api) =>
      Promise.all([
        caller.get('/api/warehouses'),
        caller.post('/api/warehouses', {}),
        caller.patch(`/api/warehouses/${MAIN}`, { priority: 1 }),
      ]);
    expect((await attempts(test.aUser())).map(({ status }) => status)).toEqual([200, 403, 403]);
    expect((await attempts(test.anonymous)).map(({ status }) => status)).toEqual([401, 401, 401]);
  });
});
