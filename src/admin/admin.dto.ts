import { ApiProperty } from '@nestjs/swagger';

export class RevenueResponse {
  @ApiProperty({ example: 'EUR' })
  currency!: string;

  @ApiProperty({
    example: '1299.50',
    description: 'Of all orders that are confirmed, processing, shipped or delivered.',
  })
  amount!: string;
}

export class LowStockProductResponse {
  @ApiProperty({ format: 'uuid' })
  product_id!: string;

  @ApiProperty({ example: 'MUG-BLUE' })
  sku!: string;

  @ApiProperty({ type: 'integer' })
  available_stock!: number;

  @ApiProperty({ type: 'integer' })
  low_stock_threshold!: number;
}

export class ReservationCountsResponse {
  @ApiProperty({ type: 'integer', description: 'Holds that have not expired.' })
  active!: number;

  @ApiProperty({ type: 'integer', description: 'Holds that have expired but are not yet swept.' })
  overdue!: number;
}

export class StockTotalsResponse {
  @ApiProperty({ type: 'integer' })
  available!: number;

  @ApiProperty({ type: 'integer' })
  reserved!: number;

  @ApiProperty({ type: 'integer' })
  total!: number;
}

export class BusinessMetricsResponse {
  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'integer' },
    example: { pending: 2, confirmed: 5 },
    description: 'Every status, including those without orders.',
  })
  orders_by_status!: Record<string, number>;

  @ApiProperty({ type: [RevenueResponse], description: 'One entry for each currency.' })
  revenue!: RevenueResponse[];

  @ApiProperty()
  reservations!: ReservationCountsResponse;

  @ApiProperty()
  stock!: StockTotalsResponse;

  @ApiProperty({
    type: [LowStockProductResponse],
    description: 'Active products at or below their threshold, the scarcest first; 100 at most.',
  })
  low_stock_products!: LowStockProductResponse[];
}

export class DifferenceResponse {
  @ApiProperty({ format: 'uuid' })
  product_id!: string;

  @ApiProperty({ format: 'uuid' })
  warehouse_id!: string;

  @ApiProperty({
    enum: ['available_stock', 'reserved_stock', 'active_reservations'],
    description: 'Which number differs: the level from its ledger, or the level from the active reservations.',
  })
  what!: string;

  @ApiProperty({ type: 'integer', description: 'The sum of the ledger or of the active reservations.' })
  expected!: number;

  @ApiProperty({ type: 'integer', description: 'The value of the level.' })
  actual!: number;
}

export class ReconciliationResponse {
  @ApiProperty({ description: 'Whether there are no differences.' })
  ok!: boolean;

  @ApiProperty({ type: 'integer', description: 'Levels (a product in a warehouse) that were compared.' })
  checked!: number;

  @ApiProperty({ type: [DifferenceResponse] })
  differences!: DifferenceResponse[];
}
