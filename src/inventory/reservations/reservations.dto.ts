import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsUUID, ValidateIf } from 'class-validator';
import { PageQuery } from '../../platform/http/page';
import { IsAbsentWith, IsListOf, IsWholeNumber, Optional } from '../../platform/http/validators';
import type { Line } from '../stock/order-lines';
import { MAX_PIECES } from '../stock/stock.dto';
import { RESERVATION_STATUSES, type ReservationStatus, type ReservationView } from './reservation.entity';

export const MAX_LINES = 100;
const QUANTITY = { min: 1, max: MAX_PIECES };
const QUANTITY_DOCS = { type: 'integer', minimum: QUANTITY.min, maximum: QUANTITY.max, example: 2 } as const;
const WAREHOUSE_DOCS = {
  format: 'uuid',
  description: 'If absent, active warehouses serve in the order of their priority.',
} as const;

export class LineBody {
  @ApiProperty({ format: 'uuid' })
  @IsUUID()
  product_id!: string;

  @ApiProperty(QUANTITY_DOCS)
  @IsWholeNumber(QUANTITY)
  quantity!: number;

  @ApiPropertyOptional(WAREHOUSE_DOCS)
  @Optional()
  @IsUUID()
  warehouse_id?: string;
}

/** One product, given in the body itself, or several in `items`. */
export class CreateReservationBody {
  @ApiPropertyOptional({ format: 'uuid', description: 'For one product; else `items`.' })
  @ValidateIf((body: CreateReservationBody) => body.items === undefined || body.product_id !== undefined)
  @IsAbsentWith('items')
  @IsUUID()
  product_id?: string;

  @ApiPropertyOptional(QUANTITY_DOCS)
  @ValidateIf((body: CreateReservationBody) => body.items === undefined || body.quantity !== undefined)
  @IsAbsentWith('items')
  @IsWholeNumber(QUANTITY)
  quantity?: number;

  @ApiPropertyOptional(WAREHOUSE_DOCS)
  @Optional()
  @IsAbsentWith('items')
  @IsUUID()
  warehouse_id?: string;

  @ApiPropertyOptional({
    type: [LineBody],
    minItems: 1,
    maxItems: MAX_LINES,
    description: 'All of them or none. Lines of one product are added up.',
  })
  @Optional()
  @IsListOf(() => LineBody, { max: MAX_LINES })
  items?: LineBody[];

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    description: 'How long the hold lasts; at most RESERVATION_MAX_TTL_SECONDS. Default: RESERVATION_TTL_SECONDS.',
    example: 600,
  })
  @Optional()
  @IsWholeNumber({ min: 1, max: 2_592_000 })
  ttl_seconds?: number;
}

export class ExtendReservationBody {
  @ApiProperty({
    type: 'integer',
    minimum: 1,
    example: 600,
    description:
      'From now on. The total lifetime of a hold is limited to RESERVATION_MAX_TTL_SECONDS: a longer extension ends there.',
  })
  @IsWholeNumber({ min: 1, max: 2_592_000 })
  ttl_seconds!: number;
}

export class ReservationsQuery extends PageQuery {
  @ApiPropertyOptional({ enum: RESERVATION_STATUSES })
  @Optional()
  @IsIn(RESERVATION_STATUSES)
  status?: ReservationStatus;

  @ApiPropertyOptional({ format: 'uuid' })
  @Optional()
  @IsUUID()
  product_id?: string;
}

export class ReservationItemResponse {
  @ApiProperty({ format: 'uuid' })
  product_id!: string;

  @ApiProperty({ example: 'MUG-BLUE' })
  sku!: string;

  @ApiProperty({ format: 'uuid' })
  warehouse_id!: string;

  @ApiProperty({ type: 'integer', example: 2 })
  quantity!: number;

  @ApiProperty({ example: '19.90', description: 'Held like the stock.' })
  unit_price!: string;
}

export class ReservationResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ format: 'uuid' })
  user_id!: string;

  @ApiProperty({
    enum: RESERVATION_STATUSES,
    description: '`expired` exactly from `expires_at` on, whether swept or not.',
  })
  status!: ReservationStatus;

  @ApiProperty({ type: [ReservationItemResponse] })
  items!: ReservationItemResponse[];

  @ApiProperty({ example: '39.80' })
  total_amount!: string;

  @ApiProperty({ example: 'EUR' })
  currency!: string;

  @ApiProperty({
    type: 'string',
    format: 'uuid',
    nullable: true,
    description: 'The order that the reservation belongs to.',
  })
  order_id!: string | null;

  @ApiProperty({ format: 'date-time' })
  expires_at!: string;

  @ApiProperty({ format: 'date-time' })
  created_at!: string;

  @ApiProperty({ format: 'date-time' })
  updated_at!: string;
}

/** The lines of `items`, with ids in lower case as in the database. */
export function toLines(items: readonly LineBody[]): Line[] {
  return items.map((item, index) => ({
    productId: item.product_id.toLowerCase(),
    warehouseId: item.warehouse_id?.toLowerCase(),
    quantity: item.quantity,
    prefix: `items.${index}.`,
  }));
}

/** The lines of a body: one in the body itself, or those in `items`. */
export function linesOf({ items, product_id, quantity, warehouse_id }: CreateReservationBody): Line[] {
  return items
    ? toLines(items)
    : toLines([{ product_id: product_id!, quantity: quantity!, warehouse_id }]).map((line) => ({
        ...line,
        prefix: '',
      }));
}

export function toReservationResponse(view: ReservationView): ReservationResponse {
  return {
    id: view.id,
    user_id: view.userId,
    status: view.status,
    items: view.items.map((item) => ({
      product_id: item.productId,
      sku: item.sku,
      warehouse_id: item.warehouseId,
      quantity: item.quantity,
      unit_price: item.unitPrice,
    })),
    total_amount: view.totalAmount,
    currency: view.currency,
    order_id: view.orderId,
    expires_at: view.expiresAt.toISOString(),
    created_at: view.createdAt.toISOString(),
    updated_at: view.updatedAt.toISOString(),
  };
}
