import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsUUID } from 'class-validator';
import { IsWholeNumber, Optional } from '../../platform/http/validators';
import { MAX_PIECES } from '../stock/stock.dto';

export const MAX_LINES = 100;
export const QUANTITY = { min: 1, max: MAX_PIECES };
export const QUANTITY_DOCS = { type: 'integer', minimum: QUANTITY.min, maximum: QUANTITY.max, example: 2 } as const;
export const WAREHOUSE_DOCS = {
  format: 'uuid',
  description: 'Left out: the active warehouses decide by their priority.',
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
