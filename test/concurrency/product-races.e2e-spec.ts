import type { Reply } from '../support/api';
import { aProduct, dataOf } from '../support/factories';
import { inLine, storm, tally } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp({ DATABASE_POOL_SIZE: '20' });
});
afterAll(() => test.close());

describe('Races for one version of a product', () => {
  it('lets one of 20 changes through that are meant for the same version', async () => {
    const product = await aProduct(test);
    const replies = await storm(20, (index) =>
      test.admin.patch(`/api/products/${product.id}`, { price: `${index + 1}.00` }, { 'If-Match': '"1"' }),
    );
    expect(tally(replies)).toEqual({ '200': 1, '412 version_mismatch': 19 });
    const winner = replies.findIndex(({ status }) => status === 200);
    const { price, version } = dataOf(await test.admin.get(`/api/products/${product.id}`));
    expect([price, version]).toEqual([`${winner + 1}.00`, 2]);
  });

  it('refuses the second in line with 412, and counts every change that names no version', async () => {
    const { id } = await aProduct(test);
    const patch = (name: string, headers = {}): Promise<Reply> =>
      test.admin.patch(`/api/products/${id}`, { name }, headers);
    const lock = { sql: 'SELECT FROM products WHERE id = $1 FOR UPDATE', values: [id] };
    const attempts = [() => patch('first'), () => patch('second', { 'If-Match': '"1"' })];
    const replies = await inLine(test.database, lock, attempts);
    expect(replies.map(({ status }) => status)).toEqual([200, 412]);
    expect(tally(await storm(10, (index) => patch(`name ${index}`)))).toEqual({ '200': 10 });
    expect(dataOf(await test.admin.get(`/api/products/${id}`)).version).toBe(12);
  });
});
