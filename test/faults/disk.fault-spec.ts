import { randomUUID } from 'node:crypto';
import { rename, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { unique } from '../support/test-app';
import { expectNoLeak } from './support/account';
import { countNames, type Outcome } from './support/caller';
import { Postgres } from './support/postgres';
import { Service } from './support/service';

let postgres: Postgres;
let service: Service;
let productId: string;
beforeAll(async () => {
  postgres = await Postgres.start();
  service = await Service.start(postgres);
  const body = { sku: unique('SKU'), name: 'Blue mug', price: '19.90', initial_stock: 10 };
  productId = (await service.as('admin').ask({ path: '/api/products', body })).body.data.id;
});
afterAll(async () => {
  await service?.end();
  await postgres?.end();
});

/**
 * The kernel answers ENOSPC to whoever writes to /dev/full, which stands in for the empty file of the table: so
 * PostgreSQL meets the real error where a full disk would show it, when a table has to grow.
 */
async function onFullDisk<T>(table: string, work: () => Promise<T>): Promise<T> {
  const [row] = await postgres.query<{ path: string }>('SELECT pg_relation_filepath($1) AS path', [table]);
  const file = join(postgres.dir, row!.path);
  await rename(file, `${file}.kept`);
  await symlink('/dev/full', file);
  // Who has the file open already would write to it all the same.
  await postgres.endSessions();
  try {
    return await work();
  } finally {
    await unlink(file);
    await rename(`${file}.kept`, file);
    await postgres.endSessions();
  }
}

describe('A disk that is full', () => {
  it('refuses what has to be written, changes nothing, and lets everybody read; with space, the keys serve', async () => {
    const [userId, keys] = [randomUUID(), Array.from({ length: 5 }, () => randomUUID())];
    const user = service.as('user', userId);
    const body = { product_id: productId, quantity: 1 };
    const reserveAll = (): Promise<Outcome[]> =>
      Promise.all(keys.map((key) => user.ask({ path: '/api/reservations', body, key })));
    await onFullDisk('reservations', async () => {
      const refused = await reserveAll();
      expect(countNames(refused)).toEqual({ '503 overloaded': keys.length });
      expect(refused.map(({ headers }) => headers.get('retry-after'))).toEqual(keys.map(() => '1'));
      const { body: answer } = await user.ask({ path: `/api/products/${productId}` });
      expect(answer.data).toMatchObject({ available_stock: 10, reserved_stock: 0 });
      expect(await service.isReady()).toBe(true);
    });
    expect(await postgres.query('SELECT FROM idempotency_keys')).toEqual([]);
    expect(countNames(await reserveAll())).toEqual({ '201': keys.length });
    expect((await postgres.query('SELECT FROM reservations WHERE user_id = $1', [userId])).length).toBe(keys.length);
    const { body: account } = await service.as('admin').ask({ path: '/api/admin/reconciliation' });
    expect(account.data).toMatchObject({ ok: true });
    expect(service.logged.filter(({ err }) => (err as { code?: string } | undefined)?.code === '53100')).not.toEqual(
      [],
    );
    await expectNoLeak(postgres, service);
  });
});
