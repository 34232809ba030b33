import { toLines } from './reservations.dto';

describe('toLines', () => {
  it('says of each line how the request calls it, and spells ids as the database does', () => {
    expect(
      toLines([
        { product_id: 'AB', quantity: 2 },
        { product_id: 'cd', quantity: 3, warehouse_id: 'EF' },
      ]),
    ).toEqual([
      { productId: 'ab', warehouseId: undefined, quantity: 2, prefix: 'items.0.' },
      { productId: 'cd', warehouseId: 'ef', quantity: 3, prefix: 'items.1.' },
    ]);
  });
});
