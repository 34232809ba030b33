import { randomUUID } from 'node:crypto';
import type { Api } from '../support/api';
import { rowCounts } from '../support/database';
import { aProduct, aReservation, aWarehouse, dataOf, stockUp } from '../support/factories';
import { startTestApp, type TestApp, unique } from '../support/test-app';

const MAIN = '00000000-0000-7000-8000-000000000001';

describe('Products', () => {
  let test: TestApp;
  let admin: Api;
  beforeAll(async () => {
    test = await startTestApp();
    admin = test.admin;
  });
  afterAll(() => test.close());

  const fieldsOf = (body: { errors: { field: string }[] }): string[] =>
    [...new Set(body.errors.map(({ field }) => field))].sort();

  describe('when they are made', () => {
    it('take defaults for all that is left out', async () => {
      const sku = unique('SKU');
      const reply = await admin.post('/api/products', { sku, name: 'Red mug', price: '5' });
      expect(reply.status).toBe(201);
      const { id, created_at, updated_at, ...rest } = reply.body.data;
      expect(rest).toEqual({
        ...{
          sku,
          name: 'Red mug',
          description: null,
          price: '5.00',
          currency: 'EUR',
          is_active: true,
          low_stock_threshold: 0,
          version: 1,
        },
        ...{ total_stock: 0, available_stock: 0, reserved_stock: 0 },
        stock_levels: [
          { warehouse_id: MAIN, warehouse_code: 'MAIN', available_stock: 0, reserved_stock: 0, total_stock: 0 },
        ],
      });
      expect([created_at, updated_at].every((time) => new Date(time).toISOString() === time)).toBe(true);
      expect(reply.headers).toMatchObject({ location: `/api/products/${id}`, etag: '"1"' });
    });

    it.each([
      ['19.9', '19.90'],
      [19.9, '19.90'],
      [0, '0.00'],
      ['007.5', '7.50'],
      ['999999999999.99', '999999999999.99'],
    ])('read the price %j as %s', async (price, read) => {
      const { id } = await aProduct(test, { price });
      expect(dataOf(await admin.get(`/api/products/${id}`)).price).toBe(read);
    });

    it.each([
      ['19.999'],
      [0.1 + 0.2],
      ['-1'],
      [-0.01],
      ['1e3'],
      [1e21],
      ['1000000000000'],
      [''],
      [' 1'],
      ['1,5'],
      ['.5'],
      [null],
      [true],
      [['1']],
    ])('refuse the price %j', async (price) => {
      const { status, body } = await admin.post('/api/products', { sku: unique('SKU'), name: 'Mug', price });
      expect([status, body.code, fieldsOf(body)]).toEqual([400, 'validation_failed', ['price']]);
    });

    it('refuse everything that is wrong at once, by its field', async () => {
      const wrong = {
        sku: ' ',
        name: 7,
        description: 1,
        currency: 'eur',
        low_stock_threshold: -1,
        initial_stock: 1.5,
        warehouse_id: 'MAIN',
        colour: 'red',
      };
      const { status, body } = await admin.post('/api/products', wrong);
      expect([status, fieldsOf(body)]).toEqual([400, [...Object.keys(wrong), 'price'].sort()]);
    });

    it('lay their initial stock into MAIN, or into the warehouse that is named however its id is spelled', async () => {
      const warehouse = await aWarehouse(test);
      const inMain = dataOf(await admin.get(`/api/products/${(await aProduct(test, { initial_stock: 7 })).id}`));
      expect(inMain).toMatchObject({ available_stock: 7, stock_levels: [{ warehouse_id: MAIN, available_stock: 7 }] });
      const spelled = warehouse.id.toUpperCase();
      const { id } = await aProduct(test, { initial_stock: 8, warehouse_id: spelled });
      const elsewhere = dataOf(await admin.get(`/api/products/${id}`));
      expect(elsewhere.stock_levels).toEqual([
        {
          warehouse_id: warehouse.id,
          warehouse_code: warehouse.code,
          available_stock: 8,
          reserved_stock: 0,
          total_stock: 8,
        },
      ]);
      const [movement] = dataOf(await admin.get(`/api/products/${id}/stock-movements`));
      expect(movement).toMatchObject({
        kind: 'initial',
        available_delta: 8,
        available_after: 8,
        reserved_delta: 0,
        warehouse_id: warehouse.id,
      });
    });

    it('do not find an unknown warehouse, and leave nothing behind', async () => {
      const before = await rowCounts(test.database);
      const reply = await admin.post('/api/products', {
        sku: unique('SKU'),
        name: 'Mug',
        price: 1,
        initial_stock: 1,
        warehouse_id: randomUUID(),
      });
      expect([reply.status, reply.body.code]).toEqual([404, 'not_found']);
      expect(await rowCounts(test.database)).toEqual(before);
    });

    it('keep their sku for themselves', async () => {
      const { sku } = await aProduct(test);
      const before = await rowCounts(test.database);
      const reply = await admin.post('/api/products', { sku, name: 'Another', price: 1, initial_stock: 1 });
      expect([reply.status, reply.body.code, reply.body.field]).toEqual([409, 'duplicate', 'sku']);
      expect(await rowCounts(test.database)).toEqual(before);
    });

    it('are written down with who made them', async () => {
      const { id, sku } = await aProduct(test, { initial_stock: 3 });
      const rows = dataOf(await admin.get(`/api/audit-logs?object_id=${id}`));
      expect(rows).toEqual([
        expect.objectContaining({ action: 'product.created', actor: `user:${admin.userId}`, old_value: null }),
      ]);
      expect(rows[0].new_value).toMatchObject({ sku, price: '19.90', initial_stock: 3, warehouse_id: MAIN });
    });
  });

  describe('when one is read', () => {
    it('show the level of every warehouse in the order of service, and their sums', async () => {
      const first = await aWarehouse(test, { priority: 1 });
      const { id } = await aProduct(test, { initial_stock: 4 });
      await stockUp(test, id, 6, first.id);
      await aReservation(test.aUser(), id, { quantity: 5 });
      const reply = await test.anonymous.get(`/api/products/${id}`);
      expect(reply.headers['etag']).toBe('"1"');
      expect(reply.body.data).toMatchObject({ total_stock: 10, available_stock: 5, reserved_stock: 5 });
      expect(reply.body.data.stock_levels).toEqual([
        { warehouse_id: first.id, warehouse_code: first.code, available_stock: 1, reserved_stock: 5, total_stock: 6 },
        { warehouse_id: MAIN, warehouse_code: 'MAIN', available_stock: 4, reserved_stock: 0, total_stock: 4 },
      ]);
    });

    it('are hidden from all but administrators while they are not active', async () => {
      const { id } = await aProduct(test);
      dataOf(await admin.patch(`/api/products/${id}`, { is_active: false }));
      const callers = [test.anonymous, test.aUser(), admin];
      expect(
        await Promise.all(callers.map(async (caller) => (await caller.get(`/api/products/${id}`)).status)),
      ).toEqual([404, 404, 200]);
    });

    it('are 404 when unknown and 400 when the id is none', async () => {
      expect((await test.anonymous.get(`/api/products/${randomUUID()}`)).body.code).toBe('not_found');
      expect((await test.anonymous.get('/api/products/mug')).body).toMatchObject({
        code: 'validation_failed',
        errors: [{ field: 'id' }],
      });
    });
  });

  describe('when they are changed', () => {
    it('change what is given and nothing else, one version up, and say in the audit log what was', async () => {
      const { id } = await aProduct(test, { description: 'old', low_stock_threshold: 3 });
      const before = dataOf(await admin.get(`/api/products/${id}`));
      const reply = await admin.patch(`/api/products/${id}`, { price: 7.5, description: null });
      expect([reply.status, reply.headers['etag']]).toEqual([200, '"2"']);
      expect(reply.body.data).toEqual({
        ...before,
        price: '7.50',
        description: null,
        version: 2,
        updated_at: reply.body.data.updated_at,
      });
      const [row] = dataOf(await admin.get(`/api/audit-logs?object_id=${id}&action=product.updated`));
      expect(row).toMatchObject({ actor: `user:${admin.userId}`, request_id: reply.body.request_id });
      expect([row.old_value.price, row.new_value.price, row.old_value.description, row.new_value.description]).toEqual([
        '19.90',
        '7.50',
        'old',
        null,
      ]);
      expect(row.new_value.name).toBe(row.old_value.name);
    });

    it.each([
      ...[{}, { name: null }, { price: null }, { is_active: null }, { low_stock_threshold: null }],
      ...[
        { sku: 'OTHER' },
        { currency: 'USD' },
        { version: 7 },
        { total_stock: 5 },
        { name: '' },
        { price: '1.234' },
        { is_active: 'true' },
      ],
    ])('refuse %j and stay as they are', async (body) => {
      const { id } = await aProduct(test);
      const before = await rowCounts(test.database);
      expect((await admin.patch(`/api/products/${id}`, body)).body).toMatchObject({
        status: 400,
        code: 'validation_failed',
      });
      expect(dataOf(await admin.get(`/api/products/${id}`)).version).toBe(1);
      expect(await rowCounts(test.database)).toEqual(before);
    });

    it.each(['"2"', '*', 'W/"2"', '"1", "2"'])('obey an If-Match of %s that holds', async (header) => {
      const { id } = await aProduct(test);
      dataOf(await admin.patch(`/api/products/${id}`, { name: 'Second' }));
      expect(
        (await admin.patch(`/api/products/${id}`, { name: 'Third' }, { 'If-Match': header })).body.data,
      ).toMatchObject({ name: 'Third', version: 3 });
    });

    it.each(['"1"', '"3"', '"1", "7"', '"abc"', ''])(
      'refuse an If-Match of "%s" that does not hold',
      async (header) => {
        const { id } = await aProduct(test);
        dataOf(await admin.patch(`/api/products/${id}`, { name: 'Second' }));
        const { body } = await admin.patch(`/api/products/${id}`, { name: 'Third' }, { 'If-Match': header });
        expect(body).toMatchObject({ status: 412, code: 'version_mismatch', current_version: 2 });
        expect(dataOf(await admin.get(`/api/products/${id}`))).toMatchObject({ name: 'Second', version: 2 });
      },
    );

    it('are 404 when unknown', async () => {
      expect((await admin.patch(`/api/products/${randomUUID()}`, { name: 'New' })).body.code).toBe('not_found');
    });
  });

  it('are made and changed by administrators only', async () => {
    const { id } = await aProduct(test);
    const attempts = (caller: Api) => [
      caller.post('/api/products', {}),
      caller.patch(`/api/products/${id}`, { name: 'Mine' }),
    ];
    expect((await Promise.all(attempts(test.aUser()))).map(({ status }) => status)).toEqual([403, 403]);
    expect((await Promise.all(attempts(test.anonymous))).map(({ status }) => status)).toEqual([401, 401]);
  });
});
