import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsUUID, ValidateBy } from 'class-validator';
import { IsText, IsWholeNumber, Optional } from '../../platform/http/validators';
import { MOVEMENT_KINDS, type MovementKind, type StockLevel, type StockMovement } from './stock.entity';

/**
 * The most pieces of a product that can be put into one warehouse: half of what a level can hold, so that pieces of
 * cancelled orders can still be put back.
 */
export const MAX_STOCK = 1_000_000_000;

/** The most pieces in one stock operation, and in one line of a reservation. */
export const MAX_PIECES = 1_000_000;

export class AdjustStockBody {
  @ApiProperty({
    type: 'integer',
    minimum: -MAX_PIECES,
    maximum: MAX_PIECES,
    description: 'Pieces more or fewer; not 0.',
    example: -3,
  })
  @IsWholeNumber({ min: -MAX_PIECES, max: MAX_PIECES })
  @ValidateBy({
    name: 'isNotZero',
    validator: { validate: (value) => value !== 0, defaultMessage: () => '$property must not be 0' },
  })
  delta!: number;

  @ApiProperty({ example: 'damaged in transit', maxLength: 500 })
  @IsText({ min: 1, max: 500 })
  reason!: string;

  @ApiPropertyOptional({ format: 'uuid', description: 'Default: the warehouse MAIN.' })
  @Optional()
  @IsUUID()
  warehouse_id?: string;
}

export class TransferStockBody {
  @ApiProperty({ format: 'uuid' })
  @IsUUID()
  product_id!: string;

  @ApiProperty({ format: 'uuid' })
  @IsUUID()
  from_warehouse_id!: string;

  @ApiProperty({ format: 'uuid' })
  @IsUUID()
  to_warehouse_id!: string;

  @ApiProperty({ type: 'integer', minimum: 1, maximum: MAX_PIECES, example: 5 })
  @IsWholeNumber({ min: 1, max: MAX_PIECES })
  quantity!: number;

  @ApiPropertyOptional({ maxLength: 500 })
  @Optional()
  @IsText({ min: 1, max: 500 })
  reason?: string;
}

export class StockLevelResponse {
  @ApiProperty({ format: 'uuid' })
  product_id!: string;

  @ApiProperty({ format: 'uuid' })
  warehouse_id!: string;

  @ApiProperty({ type: 'integer', example: 97 })
  available_stock!: number;

  @ApiProperty({ type: 'integer', example: 3 })
  reserved_stock!: number;

  @ApiProperty({ type: 'integer', example: 100, description: 'available_stock + reserved_stock, always.' })
  total_stock!: number;
}

export class TransferResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ format: 'uuid' })
  product_id!: string;

  @ApiProperty({ format: 'uuid' })
  from_warehouse_id!: string;

  @ApiProperty({ format: 'uuid' })
  to_warehouse_id!: string;

  @ApiProperty({ type: 'integer' })
  quantity!: number;

  @ApiProperty({ type: 'string', nullable: true })
  reason!: string | null;

  @ApiProperty({ description: 'The source level after the transfer.' })
  from!: StockLevelResponse;

  @ApiProperty({ description: 'The target level after the transfer.' })
  to!: StockLevelResponse;
}

export class StockMovementResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ format: 'uuid' })
  product_id!: string;

  @ApiProperty({ format: 'uuid' })
  warehouse_id!: string;

  @ApiProperty({ enum: MOVEMENT_KINDS })
  kind!: MovementKind;

  @ApiProperty({ type: 'integer', example: -2 })
  available_delta!: number;

  @ApiProperty({ type: 'integer', example: 2 })
  reserved_delta!: number;

  @ApiProperty({ type: 'integer' })
  available_after!: number;

  @ApiProperty({ type: 'integer' })
  reserved_after!: number;

  @ApiProperty({ type: 'string', format: 'uuid', nullable: true })
  reservation_id!: string | null;

  @ApiProperty({ type: 'string', format: 'uuid', nullable: true })
  order_id!: string | null;

  @ApiProperty()
  actor!: string;

  @ApiProperty({ type: 'string', nullable: true })
  reason!: string | null;

  @ApiProperty({ format: 'uuid' })
  request_id!: string;

  @ApiProperty({ format: 'date-time' })
  created_at!: string;
}

export function toStockLevelResponse(level: StockLevel): StockLevelResponse {
  return {
    product_id: level.productId,
    warehouse_id: level.warehouseId,
    available_stock: level.available,
    reserved_stock: level.reserved,
    total_stock: level.total,
  };
}

export function toStockMovementResponse(row: StockMovement): StockMovementResponse {
  return {
    id: row.id,
    product_id: row.productId,
    warehouse_id: row.warehouseId,
    kind: row.kind,
    available_delta: row.availableDelta,
    reserved_delta: row.reservedDelta,
    available_after: row.availableAfter,
    reserved_after: row.reservedAfter,
    reservation_id: row.reservationId,
    order_id: row.orderId,
    actor: row.actor,
    reason: row.reason,
    request_id: row.requestId,
    created_at: row.createdAt.toISOString(),
  };
}
