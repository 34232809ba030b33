import { startTestApp, type TestApp } from '../support/test-app';

const DATES = { fields: ['start_date', 'end_date'], message: 'start_date must not be after end_date' };
const TOTALS = { fields: ['min_total', 'max_total'], message: 'min_total must not be above max_total' };

describe('A range whose first end lies beyond its last', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterAll(() => test.close());

  const queryOf = (fields: string[], ends: string[]): string =>
    fields.map((field, index) => `${field}=${ends[index]}`).join('&');

  it.each([
    { ...DATES, path: '/api/orders', ends: ['2026-03-11', '2026-03-10'] },
    { ...DATES, path: '/api/orders', ends: ['2026-03-10T12:00:00Z', '2026-03-09'] },
    { ...DATES, path: '/api/orders', ends: ['2026-03-10T00:00:00.001Z', '2026-03-10T01:00:00%2B01:00'] },
    { ...DATES, path: '/api/audit-logs', ends: ['2026-03-11', '2026-03-10'] },
    { ...TOTALS, path: '/api/orders', ends: ['10.01', '10'] },
    { ...TOTALS, path: '/api/orders', ends: ['9999999999999999999999.99', '9999999999999999999999.98'] },
  ])('is refused in $path, naming both: $ends.0 to $ends.1', async ({ fields, message, path, ends }) => {
    const errors = fields.map((field) => ({ field, message }));
    expect(await test.admin.get(`${path}?${queryOf(fields, ends)}`)).toMatchObject({
      status: 400,
      body: { code: 'validation_failed', errors },
    });
  });

  it.each([
    { ...DATES, path: '/api/orders', ends: ['2026-03-10T23:59:59.999Z', '2026-03-10'] },
    { ...DATES, path: '/api/audit-logs', ends: ['2026-03-10', '2026-03-10'] },
    { ...TOTALS, path: '/api/orders', ends: ['10.00', '10'] },
  ])('is one thing, and a range of one moment or amount another: $path, $ends.0', async ({ fields, path, ends }) => {
    expect((await test.admin.get(`${path}?${queryOf(fields, ends)}`)).status).toBe(200);
  });

  it('is not looked for where an end is no time or amount at all', async () => {
    const reply = await test.admin.get('/api/orders?start_date=2026-03-11&end_date=1999&min_total=5&max_total=-1');
    expect(reply.body.errors.map(({ field }: { field: string }) => field).sort()).toEqual(['end_date', 'max_total']);
  });
});
