import { getSchemaPath } from '@nestjs/swagger';
import { type AuditAction, type AuditActions, objectTypeOf } from '../audit/audit-action';
import { EventResponse } from './feed/events.dto';

type PublishedType = Exclude<AuditAction, `user.${string}` | `audit_log.${string}` | `webhook_endpoint.${string}`>;

type Examples = {
  readonly [Type in PublishedType]: {
    /** What has happened, in a few words. */
    readonly summary: string;
    readonly old?: AuditActions[Type]['oldValue'];
    readonly new: AuditActions[Type]['newValue'];
  };
};

const id = (number: number): string => `0199d1a2-7c3e-7b44-9f0e-3a5b1c2d4e${number}`;
const [PRODUCT, WAREHOUSE, OTHER_WAREHOUSE, USER, RESERVATION, ORDER, ENDPOINT] = [10, 11, 12, 13, 14, 15, 19].map(
  id,
) as [string, string, string, string, string, string, string];
const EXPIRES_AT = '2026-01-31T12:10:00.000Z';
const purchase = { user_id: USER, total_amount: '39.80', currency: 'EUR', product_ids: [PRODUCT] };
const product = {
  ...{ sku: 'MUG-BLUE', name: 'Blue mug', description: null, price: '19.90', currency: 'EUR' },
  ...{ is_active: true, low_stock_threshold: 10, version: 1 },
};
const warehouse = { id: WAREHOUSE, code: 'NORTH', name: 'North', priority: 50, is_active: true };
const level = { warehouse_id: WAREHOUSE, available_stock: 10, reserved_stock: 0 };
const held = { status: 'active', expires_at: EXPIRES_AT, order_id: null };
const order = { reservation_id: RESERVATION, ...purchase };

const EXAMPLES: Examples = {
  'product.created': {
    summary: 'A product was created.',
    new: { ...product, initial_stock: 10, warehouse_id: WAREHOUSE },
  },
  'product.updated': {
    summary: 'A product was changed.',
    old: product,
    new: { ...product, price: '21.00', version: 2 },
  },
  'warehouse.created': { summary: 'A warehouse was created.', new: warehouse },
  'warehouse.updated': { summary: 'A warehouse was changed.', old: warehouse, new: { ...warehouse, priority: 10 } },
  'stock.adjusted': {
    summary: 'Pieces of a product came to a warehouse or were taken out. The object is the product.',
    old: level,
    new: { ...level, available_stock: 12, delta: 2, reason: 'delivery' },
  },
  'stock.transferred': {
    summary: 'Pieces of a product were moved between warehouses. The object is the product.',
    new: {
      ...{ transfer_id: id(16), from_warehouse_id: WAREHOUSE, to_warehouse_id: OTHER_WAREHOUSE },
      ...{ quantity: 2, reason: null },
    },
  },
  'stock.low': {
    summary: 'What is available of a product, over all warehouses, came down to its `low_stock_threshold`.',
    new: { available: 10, low_stock_threshold: 10 },
  },
  'stock.depleted': {
    summary: 'Nothing of a product is available any more.',
    new: { available: 0, low_stock_threshold: 10 },
  },
  'stock.replenished': {
    summary: 'More than a tenth above its `low_stock_threshold` is available of a product again.',
    new: { available: 12, low_stock_threshold: 10 },
  },
  'reservation.created': {
    summary: 'Stock was reserved.',
    new: {
      ...{ id: RESERVATION, user_id: USER, status: 'active' },
      items: [
        {
          ...{ product_id: PRODUCT, sku: 'MUG-BLUE', name: 'Blue mug', warehouse_id: WAREHOUSE },
          ...{ quantity: 2, unit_price: '19.90' },
        },
      ],
      ...{ total_amount: '39.80', currency: 'EUR', order_id: null, expires_at: EXPIRES_AT },
      ...{ created_at: '2026-01-31T12:00:00.000Z', updated_at: '2026-01-31T12:00:00.000Z' },
    },
  },
  'reservation.extended': {
    summary: 'A reservation holds its stock for longer, or for less long.',
    old: { expires_at: EXPIRES_AT },
    new: { expires_at: '2026-01-31T12:20:00.000Z', ...purchase },
  },
  'reservation.committed': {
    summary: 'A reservation became a confirmed order: its stock is sold.',
    old: held,
    new: { status: 'committed', order_id: ORDER, ...purchase },
  },
  'reservation.cancelled': {
    summary: 'A reservation was cancelled: its stock is available again.',
    old: held,
    new: { status: 'cancelled', order_id: null, ...purchase },
  },
  'reservation.expired': {
    summary: 'The time of a reservation ran out: its stock is available again.',
    old: held,
    new: { status: 'expired', order_id: null, ...purchase },
  },
  'order.created': { summary: 'An order was placed.', new: { status: 'pending', version: 1, ...order } },
  'order.status_changed': {
    summary: 'An order was confirmed, cancelled, or is on its way.',
    old: { status: 'pending' },
    new: { status: 'confirmed', version: 2, ...order, reason: null },
  },
  'webhook.test': {
    summary: 'An administrator tests an endpoint: sent to this one, whatever types it has.',
    new: { url: 'https://shop.example/webhooks' },
  },
};

/** The types of events that are sent, each with an example: the `webhooks` of the OpenAPI document. */
export function describeWebhooks(): Record<string, object> {
  return Object.fromEntries(
    (Object.keys(EXAMPLES) as PublishedType[]).map((type) => [
      type,
      {
        post: {
          tags: ['Webhooks'],
          operationId: `webhook_${type.replace('.', '_')}`,
          summary: EXAMPLES[type].summary,
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: { $ref: getSchemaPath(EventResponse) },
                example: exampleOf(type),
              },
            },
          },
          responses: { '2XX': { description: 'Taken. With any other status it is delivered again later.' } },
        },
      },
    ]),
  );
}

function exampleOf(type: PublishedType): EventResponse {
  const { old = null, new: now } = EXAMPLES[type];
  const objectType = objectTypeOf(type);
  const ids: Record<string, string> = {
    ...{ product: PRODUCT, stock: PRODUCT, warehouse: WAREHOUSE },
    ...{ reservation: RESERVATION, order: ORDER, webhook_endpoint: ENDPOINT },
  };
  const { version } = now as { version?: number };
  return {
    id: id(17),
    type,
    timestamp: '2026-01-31T12:00:00.000Z',
    cursor: 'MS40Mg',
    actor: `user:${USER}`,
    request_id: id(18),
    object: { type: objectType, id: ids[objectType]!, ...(version !== undefined && { version }) },
    data: { old, new: now },
  };
}
