import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsUUID, ValidateIf } from 'class-validator';
import { LineBody, MAX_LINES } from '../inventory/reservations/reservations.dto';
import { DateRangeQuery } from '../platform/http/date-range';
import { IsAbsentWith, IsListOf, IsMoney, IsRangeEnd, IsText, Optional, QueryList } from '../platform/http/validators';
import { isMoney, lineTotal, toCents } from '../platform/money';
import type { OrderStatusChange, OrderView } from './order.entity';
import { allowedFrom, ORDER_STATUSES, type OrderStatus } from './order-state';

const TOTAL = { max: '9999999999999999999999.99' };
const IsTotalRangeEnd = (): PropertyDecorator =>
  IsRangeEnd({
    first: 'min_total',
    last: 'max_total',
    isCrossed: (least, most) => isMoney(least) && isMoney(most) && toCents(least) > toCents(most),
    message: 'min_total must not be above max_total',
  });

export const ORDER_SORTS = ['newest', 'oldest', 'highest_value', 'lowest_value'] as const;
export type OrderSort = (typeof ORDER_SORTS)[number];

export class CreateOrderBody {
  @ApiPropertyOptional({
    format: 'uuid',
    description: 'An active reservation, which then belongs to the order; else `items`.',
  })
  @ValidateIf((body: CreateOrderBody) => body.items === undefined || body.reservation_id !== undefined)
  @IsAbsentWith('items')
  @IsUUID()
  reservation_id?: string;

  @ApiPropertyOptional({
    type: [LineBody],
    minItems: 1,
    maxItems: MAX_LINES,
    description: 'Reserved in the same transaction: all of them or none.',
  })
  @Optional()
  @IsListOf(() => LineBody, { max: MAX_LINES })
  items?: LineBody[];
}

export class ChangeOrderStatusBody {
  @ApiProperty({ enum: ORDER_STATUSES, example: 'confirmed' })
  @IsIn(ORDER_STATUSES)
  status!: OrderStatus;

  @ApiPropertyOptional({ maxLength: 500, description: 'Kept in the history and in the audit log.' })
  @Optional()
  @IsText({ min: 1, max: 500 })
  reason?: string;
}

export class OrdersQuery extends DateRangeQuery {
  @ApiPropertyOptional({ format: 'uuid', description: 'For administrators: the orders of one user.' })
  @Optional()
  @IsUUID()
  user_id?: string;

  @ApiPropertyOptional({
    type: 'string',
    example: 'confirmed,processing',
    description: `One or several, comma-separated or repeated: ${ORDER_STATUSES.join(', ')}. Each counts once.`,
  })
  @Optional()
  @QueryList(ORDER_STATUSES)
  status?: OrderStatus[];

  @ApiPropertyOptional({ type: 'string', example: '100.00', description: 'Inclusive; not above `max_total`.' })
  @Optional()
  @IsMoney(TOTAL)
  @IsTotalRangeEnd()
  min_total?: string;

  @ApiPropertyOptional({ type: 'string', example: '500.00', description: 'Inclusive; not below `min_total`.' })
  @Optional()
  @IsMoney(TOTAL)
  @IsTotalRangeEnd()
  max_total?: string;

  @ApiPropertyOptional({ enum: ORDER_SORTS, default: 'newest' })
  @IsIn(ORDER_SORTS)
  sort: OrderSort = 'newest';
}

export class OrderItemResponse {
  @ApiProperty({ format: 'uuid' })
  product_id!: string;

  @ApiProperty({ example: 'MUG-BLUE' })
  sku!: string;

  @ApiProperty({ example: 'Blue mug' })
  name!: string;

  @ApiProperty({ format: 'uuid' })
  warehouse_id!: string;

  @ApiProperty({ type: 'integer', example: 2 })
  quantity!: number;

  @ApiProperty({ example: '19.90' })
  unit_price!: string;

  @ApiProperty({ example: '39.80' })
  line_total!: string;
}

export class OrderResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ format: 'uuid' })
  user_id!: string;

  @ApiProperty({
    enum: ORDER_STATUSES,
    description: '`cancelled` exactly from `expires_at` on; lists and the history follow a moment later.',
  })
  status!: OrderStatus;

  @ApiProperty({ example: '39.80' })
  total_amount!: string;

  @ApiProperty({ example: 'EUR' })
  currency!: string;

  @ApiProperty({ type: [OrderItemResponse], description: 'Sku, name and price as of when the order was made.' })
  items!: OrderItemResponse[];

  @ApiProperty({ format: 'uuid' })
  reservation_id!: string;

  @ApiProperty({
    enum: ORDER_STATUSES,
    isArray: true,
    description: 'The statuses that may follow; some only an administrator may set.',
  })
  allowed_transitions!: OrderStatus[];

  @ApiProperty({ type: 'integer', example: 1, description: 'Increases with every change; for `If-Match`.' })
  version!: number;

  @ApiProperty({
    type: 'string',
    format: 'date-time',
    nullable: true,
    description: 'When the hold ends and the order is cancelled, if it is still pending then; else null.',
  })
  expires_at!: string | null;

  @ApiProperty({ format: 'date-time' })
  created_at!: string;

  @ApiProperty({ format: 'date-time' })
  updated_at!: string;
}

export class OrderStatusChangeResponse {
  @ApiProperty({ enum: ORDER_STATUSES })
  from!: OrderStatus;

  @ApiProperty({ enum: ORDER_STATUSES })
  to!: OrderStatus;

  @ApiProperty({ example: 'system:reservation-expiry' })
  actor!: string;

  @ApiProperty({ type: 'string', nullable: true })
  reason!: string | null;

  @ApiProperty({ format: 'uuid' })
  request_id!: string;

  @ApiProperty({ format: 'date-time' })
  at!: string;
}

export function toOrderResponse(order: OrderView): OrderResponse {
  return {
    id: order.id,
    user_id: order.userId,
    status: order.status,
    total_amount: order.totalAmount,
    currency: order.currency,
    items: order.items.map((item) => ({
      product_id: item.productId,
      sku: item.sku,
      name: item.name,
      warehouse_id: item.warehouseId,
      quantity: item.quantity,
      unit_price: item.unitPrice,
      line_total: lineTotal(item.unitPrice, item.quantity),
    })),
    reservation_id: order.reservationId,
    allowed_transitions: allowedFrom(order.status),
    version: order.version,
    expires_at: order.status === 'pending' && order.expiresAt ? order.expiresAt.toISOString() : null,
    created_at: order.createdAt.toISOString(),
    updated_at: order.updatedAt.toISOString(),
  };
}

export function toOrderStatusChangeResponse(change: OrderStatusChange): OrderStatusChangeResponse {
  return {
    from: change.fromStatus,
    to: change.toStatus,
    actor: change.actor,
    reason: change.reason,
    request_id: change.requestId,
    at: change.createdAt.toISOString(),
  };
}
