import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean } from 'class-validator';
import { IsText, IsWholeNumber, Optional } from '../../platform/http/validators';
import type { Warehouse } from './warehouse.entity';

const CODE = { min: 1, max: 64 };
const PRIORITY = { min: 0, max: 1_000_000 };
const PRIORITY_DOCS = {
  type: 'integer',
  minimum: PRIORITY.min,
  maximum: PRIORITY.max,
  description: 'The warehouse with the lowest number serves first.',
} as const;

export class CreateWarehouseBody {
  @ApiProperty({ example: 'BERLIN-2', maxLength: CODE.max })
  @IsText(CODE)
  code!: string;

  @ApiProperty({ example: 'Berlin, second floor', maxLength: 200 })
  @IsText({ min: 1, max: 200 })
  name!: string;

  @ApiPropertyOptional({ ...PRIORITY_DOCS, default: 100 })
  @Optional()
  @IsWholeNumber(PRIORITY)
  priority?: number;

  @ApiPropertyOptional({ default: true })
  @Optional()
  @IsBoolean()
  is_active?: boolean;
}

export class UpdateWarehouseBody {
  @ApiPropertyOptional({ example: 'BERLIN-2', maxLength: CODE.max })
  @Optional()
  @IsText(CODE)
  code?: string;

  @ApiPropertyOptional({ maxLength: 200 })
  @Optional()
  @IsText({ min: 1, max: 200 })
  name?: string;

  @ApiPropertyOptional(PRIORITY_DOCS)
  @Optional()
  @IsWholeNumber(PRIORITY)
  priority?: number;

  @ApiPropertyOptional({ description: 'An inactive warehouse serves no reservations.' })
  @Optional()
  @IsBoolean()
  is_active?: boolean;
}

export class WarehouseResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ example: 'MAIN' })
  code!: string;

  @ApiProperty()
  name!: string;

  @ApiProperty(PRIORITY_DOCS)
  priority!: number;

  @ApiProperty()
  is_active!: boolean;

  @ApiProperty({ format: 'date-time' })
  created_at!: string;

  @ApiProperty({ format: 'date-time' })
  updated_at!: string;
}

export function toWarehouseResponse(warehouse: Warehouse): WarehouseResponse {
  return {
    id: warehouse.id,
    code: warehouse.code,
    name: warehouse.name,
    priority: warehouse.priority,
    is_active: warehouse.isActive,
    created_at: warehouse.createdAt.toISOString(),
    updated_at: warehouse.updatedAt.toISOString(),
  };
}
