import { randomUUID } from 'node:crypto';
import type { Reply } from '../support/api';
import { createDatabase, rowCounts, type TestDatabase } from '../support/database';
import { DatabaseProxy } from '../support/database-proxy';
import { aProduct, aReservation, stockOf } from '../support/factories';
import { until } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

/** The service's sessions that have done something since. */
const USED_SINCE = `
  SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'holdfast' AND state_change > $1`;

let database: TestDatabase;
let proxy: DatabaseProxy;
let test: TestApp;
beforeAll(async () => {
  database = await createDatabase();
  proxy = await DatabaseProxy.before(database.url);
  test = await startTestApp({ LOG_LEVEL: 'fatal' }, { ...database, url: proxy.url });
});
afterAll(async () => {
  await test.close();
  await proxy.close();
  await database.drop();
});

/** As a standby does that is reached through a pooler, whose greeting does not tell. */
const refuseNextToWrite = (): Promise<void> => proxy.next('SET TRANSACTION READ WRITE', 'fails');

describe('A server that lets nobody begin to write', () => {
  it('is away, although it answers, and its connection is thrown away', async () => {
    const [{ id }, key] = [await aProduct(test), randomUUID()];
    const body = { delta: 1, reason: 'delivery' };
    const adjust = (): Promise<Reply> =>
      test.admin.post(`/api/products/${id}/stock-adjustments`, body, { 'Idempotency-Key': key });
    const before = await rowCounts(database);
    const [asked] = await database.query<{ at: string }>('SELECT clock_timestamp()::text AS at');
    const refused = refuseNextToWrite();
    expect(await adjust()).toMatchObject({
      status: 503,
      body: { code: 'database_unavailable', detail: expect.stringContaining('standby') },
      headers: { 'retry-after': '2' },
    });
    await refused;
    expect(await rowCounts(database)).toEqual(before);
    const isThrownAway = async () => (await database.query(USED_SINCE, [asked!.at])).length === 0;
    await until(isThrownAway, 'the connection is gone', 5);
    expect((await adjust()).status).toBe(201);
  });

  it('fails no batch that finds another one at its second try', async () => {
    const { id } = await aProduct(test);
    const refused = refuseNextToWrite();
    await aReservation(test.aUser(), id);
    await refused;
    expect(await stockOf(test, id)).toMatchObject({ reserved: 1 });
  });
});
