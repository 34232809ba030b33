import type { Reply } from '../support/api';
import { rowCounts } from '../support/database';
import { aProduct, aWarehouse, dataOf, expectReconciled, stockUp } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';

interface Stocked {
  product: string;
  /** The ids of the warehouses, in the order given. */
  ids: string[];
}

describe('A reservation chooses its warehouses', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterAll(() => test.close());

  /** A product with so many pieces in each of some warehouses of these priorities, made in the order given; none in MAIN. */
  async function stocked(...levels: { pieces: number; priority?: number; is_active?: boolean }[]): Promise<Stocked> {
    const { id: product } = await aProduct(test, { initial_stock: 0 });
    const ids: string[] = [];
    for (const { pieces, ...warehouse } of levels) {
      const { id } = await aWarehouse(test, warehouse);
      ids.push(id);
      if (pieces > 0) {
        await stockUp(test, product, pieces, id);
      }
    }
    return { product, ids };
  }

  const reserve = (...items: object[]): Promise<Reply> => test.aUser().post('/api/reservations', { items });

  /** What is taken from each warehouse, 0 where nothing is. */
  function takenFrom(ids: string[], reply: Reply): number[] {
    const items: { warehouse_id: string; quantity: number }[] = dataOf(reply).items;
    const taken = ids.map((id) => items.filter((item) => item.warehouse_id === id).map(({ quantity }) => quantity));
    expect(taken.flat()).toHaveLength(items.length);
    return taken.map(([quantity = 0]) => quantity);
  }

  async function expectShort(attempt: () => Promise<Reply>, ...shortages: object[]): Promise<void> {
    const before = await rowCounts(test.database);
    expect((await attempt()).body).toMatchObject({ status: 409, code: 'insufficient_stock', shortages });
    expect(await rowCounts(test.database)).toEqual(before);
  }

  it('whole from the first by priority that can serve it whole', async () => {
    const { product, ids } = await stocked(
      { pieces: 9, priority: 30 },
      { pieces: 2, priority: 10 },
      { pieces: 5, priority: 20 },
    );
    expect(takenFrom(ids, await reserve({ product_id: product, quantity: 4 }))).toEqual([0, 0, 4]);
    expect(takenFrom(ids, await reserve({ product_id: product, quantity: 2 }))).toEqual([0, 2, 0]);
    expect(takenFrom(ids, await reserve({ product_id: product, quantity: 2 }))).toEqual([2, 0, 0]);
    await expectReconciled(test);
  });

  it('split over several by priority only if none can serve it whole', async () => {
    const { product, ids } = await stocked(
      { pieces: 4, priority: 30 },
      { pieces: 2, priority: 10 },
      { pieces: 3, priority: 20 },
    );
    const reply = await reserve({ product_id: product, quantity: 6 });
    expect(takenFrom(ids, reply)).toEqual([1, 2, 3]);
    expect(dataOf(reply).total_amount).toBe('119.40');
    await expectShort(() => reserve({ product_id: product, quantity: 4 }), {
      product_id: product,
      requested: 4,
      available: 3,
    });
    await expectReconciled(test);
  });

  it('by the sum of a product’s lines, not line by line', async () => {
    const { product, ids } = await stocked({ pieces: 3, priority: 1 }, { pieces: 4, priority: 2 });
    expect(
      takenFrom(ids, await reserve({ product_id: product, quantity: 2 }, { product_id: product, quantity: 2 })),
    ).toEqual([0, 4]);
  });

  it('the oldest first among those of one priority', async () => {
    const { product, ids } = await stocked({ pieces: 2 }, { pieces: 2 }, { pieces: 2 });
    expect(takenFrom(ids, await reserve({ product_id: product, quantity: 1 }))).toEqual([1, 0, 0]);
    expect(takenFrom(ids, await reserve({ product_id: product, quantity: 2 }))).toEqual([0, 2, 0]);
    expect(takenFrom(ids, await reserve({ product_id: product, quantity: 3 }))).toEqual([1, 0, 2]);
  });

  it('by the priority that holds now', async () => {
    const { product, ids } = await stocked({ pieces: 2, priority: 10 }, { pieces: 2, priority: 20 });
    dataOf(await test.admin.patch(`/api/warehouses/${ids[1]}`, { priority: 5 }));
    expect(takenFrom(ids, await reserve({ product_id: product, quantity: 1 }))).toEqual([0, 1]);
  });

  it('among the active ones only', async () => {
    const { product, ids } = await stocked({ pieces: 9, priority: 1, is_active: false }, { pieces: 3, priority: 2 });
    expect(takenFrom(ids, await reserve({ product_id: product, quantity: 2 }))).toEqual([0, 2]);
    await expectShort(() => reserve({ product_id: product, quantity: 2 }), {
      product_id: product,
      requested: 2,
      available: 1,
    });
  });

  it('from the one that it names, and from no other', async () => {
    const { product, ids } = await stocked({ pieces: 9, priority: 1 }, { pieces: 3, priority: 2 });
    const line = { product_id: product, warehouse_id: ids[1]!.toUpperCase() };
    expect(takenFrom(ids, await reserve({ ...line, quantity: 2 }))).toEqual([0, 2]);
    await expectShort(() => reserve({ ...line, quantity: 2 }), {
      product_id: product,
      warehouse_id: ids[1],
      requested: 2,
      available: 1,
    });
  });

  it('never from a named one that is not active, and says which line names it', async () => {
    const { product, ids } = await stocked({ pieces: 9, is_active: false }, { pieces: 9 });
    const line = { product_id: product, quantity: 1, warehouse_id: ids[0] };
    const before = await rowCounts(test.database);
    const single = await test.aUser().post('/api/reservations', line);
    expect(single.body).toMatchObject({ status: 400, code: 'validation_failed', errors: [{ field: 'warehouse_id' }] });
    const listed = await reserve({ product_id: product, quantity: 1 }, line);
    expect(listed.body).toMatchObject({
      status: 400,
      code: 'validation_failed',
      errors: [{ field: 'items.1.warehouse_id' }],
    });
    expect(await rowCounts(test.database)).toEqual(before);
  });

  it('for lines that name one before those that name none, wherever they stand', async () => {
    const { product, ids } = await stocked({ pieces: 5, priority: 1 }, { pieces: 4, priority: 2 });
    const [free, named] = [
      { product_id: product, quantity: 3 },
      { product_id: product, quantity: 3, warehouse_id: ids[0] },
    ];
    expect(takenFrom(ids, await reserve(free, named))).toEqual([3, 3]);
    await expectReconciled(test);
  });

  it('as one item where a line that names it and one that does not meet', async () => {
    const { product, ids } = await stocked({ pieces: 5, priority: 1 }, { pieces: 1, priority: 2 });
    const [free, named] = [
      { product_id: product, quantity: 2 },
      { product_id: product, quantity: 3, warehouse_id: ids[0] },
    ];
    expect(takenFrom(ids, await reserve(free, named))).toEqual([5, 0]);
    const { product: other, ids: others } = await stocked({ pieces: 5 });
    const short = { product_id: other, requested: 6, available: 5 };
    await expectShort(
      () => reserve({ product_id: other, quantity: 3 }, { product_id: other, quantity: 3, warehouse_id: others[0] }),
      short,
    );
  });

  it('for an order that reserves as it is made, by the same rules', async () => {
    const { product, ids } = await stocked({ pieces: 2, priority: 1 }, { pieces: 4, priority: 2 });
    const reply = await test.aUser().post('/api/orders', { items: [{ product_id: product, quantity: 5 }] });
    expect(takenFrom(ids, reply)).toEqual([2, 3]);
    await expectReconciled(test);
  });
});
