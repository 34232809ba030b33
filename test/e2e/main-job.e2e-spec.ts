import { aProduct, dataOf, expectReconciled, stockOf } from '../support/factories';
import { startTestApp, type TestApp, unique } from '../support/test-app';

describe('The main job', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterAll(() => test.close());

  it('goes from an empty shop to a delivered order, and says who did it', async () => {
    const { admin, anonymous } = test;
    const credentials = { email: `${unique('ada')}@example.com`, password: 'correct horse battery' };
    expect((await anonymous.post('/api/auth/register', credentials)).status).toBe(201);
    const { access_token: token, user } = dataOf(await anonymous.post('/api/auth/login', credentials));
    const ada = { Authorization: `Bearer ${token}` };

    const product = await aProduct(test, { initial_stock: 5 });
    const reservation = dataOf(await anonymous.post('/api/reservations', { product_id: product.id, quantity: 2 }, ada));
    expect(reservation).toMatchObject({ status: 'active', user_id: user.id, total_amount: '39.80' });
    expect(await stockOf(test, product.id)).toEqual({ available: 3, reserved: 2, total: 5 });

    const order = dataOf(await anonymous.post('/api/orders', { reservation_id: reservation.id }, ada));
    expect(order).toMatchObject({ status: 'pending', allowed_transitions: ['confirmed', 'cancelled'] });
    dataOf(await anonymous.patch(`/api/orders/${order.id}/status`, { status: 'confirmed' }, ada));
    expect(await stockOf(test, product.id)).toEqual({ available: 3, reserved: 0, total: 3 });
    for (const status of ['processing', 'shipped', 'delivered']) {
      dataOf(await admin.patch(`/api/orders/${order.id}/status`, { status }));
    }

    const history = dataOf(await anonymous.get(`/api/orders/${order.id}/history`, ada));
    expect(history.map((step: { to: string }) => step.to)).toEqual(['confirmed', 'processing', 'shipped', 'delivered']);
    const audit = dataOf(await admin.get(`/api/audit-logs?object_id=${order.id}`));
    expect(audit.map((row: { actor: string; action: string }) => [row.actor, row.action])).toEqual([
      [`user:${admin.userId}`, 'order.status_changed'],
      [`user:${admin.userId}`, 'order.status_changed'],
      [`user:${admin.userId}`, 'order.status_changed'],
      [`user:${user.id}`, 'order.status_changed'],
      [`user:${user.id}`, 'order.created'],
    ]);
    await expectReconciled(test);
  });
});
