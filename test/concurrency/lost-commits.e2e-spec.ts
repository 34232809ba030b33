import { randomUUID } from 'node:crypto';
import type { Reply } from '../support/api';
import { createDatabase, type TestDatabase } from '../support/database';
import { DatabaseProxy } from '../support/database-proxy';
import { anOrder, aProduct, aReservation, dataOf, expectReconciled, stockOf } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

let database: TestDatabase;
let proxy: DatabaseProxy;
let test: TestApp;
beforeAll(async () => {
  database = await createDatabase();
  proxy = await DatabaseProxy.before(database.url);
  test = await startTestApp({ LOG_LEVEL: 'silent' }, { ...database, url: proxy.url });
});
afterEach(() => expectReconciled(test));
afterAll(async () => {
  await test.close();
  await proxy.close();
  await database.drop();
});

const adjust = (productId: string, headers: Record<string, string> = {}): Promise<Reply> =>
  test.admin.post(`/api/products/${productId}/stock-adjustments`, { delta: 1, reason: 'delivery' }, headers);

/** The session of the first transaction that changes the status of an order ends during its COMMIT: what a sequence counts stays. */
const END_AT_FIRST_COMMIT = `
  CREATE SEQUENCE commits;
  CREATE FUNCTION end_at_first_commit() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF nextval('commits') = 1 THEN
      PERFORM pg_terminate_backend(pg_backend_pid());
    END IF;
    RETURN NULL;
  END $$;
  CREATE CONSTRAINT TRIGGER end_at_commit AFTER INSERT ON order_status_changes DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION end_at_first_commit()`;

const keyed = (): Record<string, string> => ({ 'Idempotency-Key': randomUUID() });

describe('A request that has a transaction of its own and loses its connection during COMMIT', () => {
  it.each(['answer is lost', 'client is cut'] as const)('is settled by its key: the %s', async (fate) => {
    const [{ id }, key] = [await aProduct(test), keyed()];
    const lost = proxy.next('COMMIT', fate, key['Idempotency-Key']);
    const reply = await adjust(id, key);
    await lost;
    expect([reply.status, reply.body.data.total_stock]).toEqual([201, 11]);
    expect(await stockOf(test, id)).toMatchObject({ total: 11 });
    expect((await adjust(id, key)).body.data).toEqual(reply.body.data);
  });

  it('is told, without a key, that nobody knows, and what to do', async () => {
    const { id } = await aProduct(test);
    const lost = proxy.next('COMMIT', 'answer is lost', id);
    const { status, body } = await adjust(id);
    await lost;
    expect([status, body.code, body.type]).toEqual([500, 'outcome_unknown', '/problems/outcome-unknown']);
    expect(body.detail).toContain('not known whether this request took effect');
    expect(body.detail).toContain('same Idempotency-Key');
    expect(await stockOf(test, id)).toMatchObject({ total: 11 });
  });

  it('is told so also with a key while the database is away, and its key settles it afterwards', async () => {
    const [{ id }, key] = [await aProduct(test), keyed()];
    const away = proxy.next('COMMIT', 'answer is lost', key['Idempotency-Key']).then(() => proxy.goAway());
    const { status, body } = await adjust(id, key);
    await away;
    proxy.comeBack();
    expect([status, body.code]).toEqual([500, 'outcome_unknown']);
    expect((await adjust(id, key)).headers['idempotent-replayed']).toBe('true');
    expect(await stockOf(test, id)).toMatchObject({ total: 11 });
  });
});

describe('A batch of commits that loses its connection during COMMIT', () => {
  it.each(['answer is lost', 'client is cut'] as const)('is settled by its audit rows: the %s', async (fate) => {
    const [{ id: productId }, user, key] = [await aProduct(test), test.aUser(), keyed()];
    const { id } = await aReservation(user, productId);
    const lost = proxy.next('COMMIT', fate, key['Idempotency-Key']);
    const reply = await user.post(`/api/reservations/${id}/commit`, undefined, key);
    await lost;
    expect(dataOf(reply)).toMatchObject({ status: 'confirmed', reservation_id: id });
    expect(await stockOf(test, productId)).toEqual({ available: 9, reserved: 0, total: 9 });
    expect((await user.post(`/api/reservations/${id}/commit`, undefined, key)).body.data).toEqual(reply.body.data);
  });

  it('is settled for those without a key as well', async () => {
    const [{ id: productId }, user] = [await aProduct(test), test.aUser()];
    const { reservation_id: id } = await anOrder(user, productId);
    const lost = proxy.next('COMMIT', 'answer is lost', id);
    const reply = await user.post(`/api/reservations/${id}/commit`);
    await lost;
    expect(dataOf(reply)).toMatchObject({ status: 'confirmed', reservation_id: id });
    expect(await stockOf(test, productId)).toEqual({ available: 9, reserved: 0, total: 9 });
  });
});

describe('A batch of changes of a status that loses its connection during COMMIT', () => {
  it.each(['answer is lost', 'client is cut'] as const)(
    'is settled by its audit rows, without any key: the %s',
    async (fate) => {
      const [{ id: productId }, user] = [await aProduct(test), test.aUser()];
      const { id } = await anOrder(user, productId);
      const lost = proxy.next('COMMIT', fate, id);
      const reply = await user.patch(`/api/orders/${id}/status`, { status: 'confirmed' });
      await lost;
      expect(dataOf(reply)).toMatchObject({ status: 'confirmed', version: 2 });
      expect(dataOf(await user.get(`/api/orders/${id}`))).toEqual(reply.body.data);
      expect(dataOf(await user.get(`/api/orders/${id}/history`))).toHaveLength(1);
      expect(await stockOf(test, productId)).toEqual({ available: 9, reserved: 0, total: 9 });
    },
  );

  it('is carried out once, in the second try, if COMMIT has not taken effect', async () => {
    const [{ id: productId }, user] = [await aProduct(test), test.aUser()];
    const { id } = await anOrder(user, productId);
    await database.query(END_AT_FIRST_COMMIT);
    const reply = await user.patch(`/api/orders/${id}/status`, { status: 'confirmed' });
    const [commits] = await database.query('SELECT last_value::int AS tried FROM commits');
    await database.query('DROP TRIGGER end_at_commit ON order_status_changes');
    expect(commits).toEqual({ tried: 2 });
    expect(dataOf(reply)).toMatchObject({ status: 'confirmed', version: 2 });
    expect(dataOf(await user.get(`/api/orders/${id}`))).toEqual(reply.body.data);
    expect(await stockOf(test, productId)).toEqual({ available: 9, reserved: 0, total: 9 });
  });

  it('is told that nobody knows while the database is away', async () => {
    const [{ id: productId }, user] = [await aProduct(test), test.aUser()];
    const { id } = await anOrder(user, productId);
    const away = proxy.next('COMMIT', 'answer is lost', id).then(() => proxy.goAway());
    const { status, body } = await user.patch(`/api/orders/${id}/status`, { status: 'confirmed' });
    await away;
    proxy.comeBack();
    expect([status, body.code]).toEqual([500, 'outcome_unknown']);
    expect(dataOf(await user.get(`/api/orders/${id}`))).toMatchObject({ status: 'confirmed', version: 2 });
  });
});
