import { randomUUID } from 'node:crypto';
import type { Service } from './service';
import type { Caller, Request } from './caller';

const PASSWORD = 'correct horse battery';

/** One request for every kind of route that needs the database. Some are asked for twice: with a key, and without. */
export function everyRoute(service: Service): (Request & { caller: Caller })[] {
  const [admin, user, anonymous] = [service.as('admin'), service.as('user'), service.anonymous];
  const id = randomUUID();
  const line = { product_id: id, quantity: 1 };
  const [from, to] = [{ from_warehouse_id: id }, { to_warehouse_id: randomUUID() }];
  return [
    ...[{ path: '/api/products' }, { path: `/api/products/${id}` }, { path: '/health/ready' }].map(by(anonymous)),
    ...[
      { path: '/api/auth/login', body: { email: 'ada@example.com', password: PASSWORD } },
      { path: '/api/auth/register', body: { email: 'ada@example.com', password: PASSWORD } },
    ].map(by(anonymous)),
    ...[
      ...[{ path: '/api/auth/me' }, { path: '/api/orders' }, { path: `/api/orders/${id}` }],
      ...[{ path: `/api/orders/${id}/history` }, { path: '/api/reservations' }, { path: `/api/reservations/${id}` }],
      ...[{ path: '/api/warehouses' }],
      ...[
        { path: '/api/reservations', body: line },
        { path: '/api/reservations', body: line, key: id },
      ],
      ...[
        { path: '/api/orders', body: { items: [line] } },
        { path: '/api/orders', body: { items: [line] }, key: id },
      ],
      ...[
        { path: '/api/orders', body: { reservation_id: id } },
        { path: `/api/reservations/${id}/extend`, body: { ttl_seconds: 60 } },
      ],
      ...[
        { path: `/api/reservations/${id}/commit`, method: 'POST' },
        { path: `/api/reservations/${id}/cancel`, method: 'POST' },
      ],
      { path: `/api/orders/${id}/status`, method: 'PATCH', body: { status: 'confirmed' } },
    ].map(by(user)),
    ...[
      { path: '/api/products', body: { sku: 'MUG', name: 'Mug', price: '1.00' } },
      { path: `/api/products/${id}`, method: 'PATCH', body: { name: 'Mug' } },
      { path: `/api/products/${id}/stock-adjustments`, body: { delta: 1, reason: 'delivery' } },
      { path: `/api/products/${id}/stock-movements` },
      { path: '/api/stock-transfers', body: { product_id: id, quantity: 1, ...from, ...to } },
      { path: '/api/warehouses', body: { code: 'NORTH', name: 'North' } },
      { path: `/api/warehouses/${id}`, method: 'PATCH', body: { name: 'North' } },
      ...[{ path: '/api/audit-logs' }, { path: '/api/admin/metrics' }, { path: '/api/admin/reconciliation' }],
    ].map(by(admin)),
  ];
}

function by(caller: Caller): (request: Request) => Request & { caller: Caller } {
  return (request) => ({ ...request, caller });
}
