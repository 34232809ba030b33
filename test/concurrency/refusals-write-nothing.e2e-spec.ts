import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '../../src/platform/database/migrate';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/platform/embedded-postgres/embedded-postgres';
import type { Api, Reply } from '../support/api';
import { createDatabase, rowCounts, SERVER_VARIABLE, type TestDatabase } from '../support/database';
import { aProduct, aReservation, aWarehouse, dataOf, expectReconciled, stockOf, stockUp } from '../support/factories';
import { storm, tally, until } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

/** What a server writes by itself would move its log as well: as little of it as possible, and nothing by the clock. */
const SETTINGS = {
  ...{ fsync: 'off', autovacuum: 'off', wal_level: 'minimal', max_wal_senders: '0', checkpoint_timeout: '1d' },
};

const reserve = (buyer: Api, productId: string, quantity: number): Promise<Reply> =>
  buyer.post('/api/reservations', { product_id: productId, quantity });

describe('Refusals of a product that is sold out', () => {
  let dataDir: string;
  let postgres: EmbeddedPostgres;
  let database: TestDatabase;
  let test: TestApp;
  // A server of its own: on the one that all test files share, others write meanwhile.
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'holdfast-refusals-'));
    postgres = await startEmbeddedPostgres({ dataDir, settings: SETTINGS });
    process.env[SERVER_VARIABLE] = postgres.url;
    database = await createDatabase({ template: 'template1' });
    await migrate(database.url);
    // Else each new connection tidies up what the migrations left in the catalogue.
    await database.query('VACUUM');
    test = await startTestApp({}, database);
  }, 60_000);
  afterEach(() => expectReconciled(test));
  afterAll(async () => {
    await test?.close();
    await database?.drop();
    await postgres?.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  /** The end of the server's log, its next transaction id, and the rows of every table. */
  async function state(): Promise<object> {
    const [row] = await database.query<object>(
      'SELECT pg_current_wal_insert_lsn() AS wal, pg_snapshot_xmax(pg_current_snapshot()) AS next',
    );
    return { ...row, rows: await rowCounts(database) };
  }

  it('write nothing: no row, no transaction, not a byte in the log', async () => {
    const product = await aProduct(test, { initial_stock: 1 });
    await stockUp(test, product.id, 1, (await aWarehouse(test)).id);
    await aReservation(test.aUser(), product.id, { quantity: 2 });
    const refuse = (index: number): Promise<Reply> => {
      const [line, headers] = [{ product_id: product.id, quantity: 1 }, { 'Idempotency-Key': `key-${index}` }];
      return index % 2
        ? test.aUser().post('/api/orders', { items: [line] }, headers)
        : test.aUser().post('/api/reservations', line, headers);
    };
    // Whoever reads a page first may tidy it up, and that is written down.
    await storm(20, refuse);
    const before = await state();
    const replies = await storm(200, refuse);
    expect(tally(replies)).toEqual({ '409 insufficient_stock': 200 });
    expect(await state()).toEqual(before);
    // The measure is not blind.
    await aReservation(test.aUser(), (await aProduct(test)).id);
    expect(await state()).not.toEqual(before);
  });

  it('do not stand in the way of a cancellation, nor of whoever then gets the piece', async () => {
    const [product, holder, buyer] = [await aProduct(test, { initial_stock: 1 }), test.aUser(), test.aUser()];
    const { id } = await aReservation(holder, product.id);
    const refused: Reply[] = [];
    let isOver = false;
    const raging = storm(20, async () => {
      while (!isOver) {
        refused.push(await reserve(test.aUser(), product.id, 2));
      }
    });
    const more = async (): Promise<void> => {
      const target = refused.length + 100;
      await until(async () => refused.length >= target, 'a hundred more are refused');
    };
    try {
      await more();
      expect((await holder.post(`/api/reservations/${id}/cancel`)).status).toBe(200);
      await more();
      const next = await reserve(buyer, product.id, 1);
      expect(dataOf(next).items).toMatchObject([{ product_id: product.id, quantity: 1 }]);
      await more();
    } finally {
      isOver = true;
      await raging;
    }
    expect(tally(refused)).toEqual({ '409 insufficient_stock': refused.length });
    const left = new Set(refused.map(({ body }) => body.shortages[0].available as number));
    expect([...left].sort()).toEqual([0, 1]);
    expect(await stockOf(test, product.id)).toEqual({ available: 0, reserved: 1, total: 1 });
  });
});
