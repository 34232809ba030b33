import { ApiProperty, ApiPropertyOptional, type ApiPropertyOptions } from '@nestjs/swagger';
import { IsBoolean, IsISO4217CurrencyCode, IsUppercase, IsUUID, ValidateIf } from 'class-validator';
import { PageQuery } from '../../platform/http/page';
import { IsMoney, IsText, IsWholeNumber, Optional, QueryBoolean } from '../../platform/http/validators';
import { MAX_STOCK } from '../stock/stock.dto';
import type { Product } from './product.entity';

export const DEFAULT_CURRENCY = 'EUR';
const PRICE = { max: '999999999999.99' };
const PRICE_DOCS = {
  oneOf: [
    { type: 'string', pattern: '^\\d{1,12}(\\.\\d{1,2})?$' },
    { type: 'number', minimum: 0, maximum: Number(PRICE.max) },
  ],
  example: '19.90',
  description: 'A decimal with at most two places, as a string or a number.',
} satisfies ApiPropertyOptions;
const STOCK_DOCS = { type: 'integer', minimum: 0, maximum: MAX_STOCK } as const;

export class CreateProductBody {
  @ApiProperty({ example: 'MUG-BLUE', maxLength: 64 })
  @IsText({ min: 1, max: 64 })
  sku!: string;

  @ApiProperty({ example: 'Blue mug', maxLength: 200 })
  @IsText({ min: 1, max: 200 })
  name!: string;

  @ApiProperty(PRICE_DOCS)
  @IsMoney(PRICE)
  price!: string;

  @ApiPropertyOptional({ type: 'string', nullable: true, maxLength: 5000 })
  @ValidateIf((body: CreateProductBody) => body.description !== undefined && body.description !== null)
  @IsText({ max: 5000, multiline: true })
  description?: string | null;

  @ApiPropertyOptional({
    default: DEFAULT_CURRENCY,
    pattern: '^[A-Z]{3}$',
    description: 'ISO 4217, in capital letters.',
    example: 'EUR',
  })
  @Optional()
  @IsISO4217CurrencyCode()
  @IsUppercase()
  currency?: string;

  @ApiPropertyOptional({ ...STOCK_DOCS, default: 0 })
  @Optional()
  @IsWholeNumber({ min: 0, max: MAX_STOCK })
  low_stock_threshold?: number;

  @ApiPropertyOptional({ ...STOCK_DOCS, default: 0, example: 100 })
  @Optional()
  @IsWholeNumber({ min: 0, max: MAX_STOCK })
  initial_stock?: number;

  @ApiPropertyOptional({ format: 'uuid', description: 'The warehouse of the initial stock. Default: MAIN.' })
  @Optional()
  @IsUUID()
  warehouse_id?: string;
}

export class UpdateProductBody {
  @ApiPropertyOptional({ maxLength: 200 })
  @Optional()
  @IsText({ min: 1, max: 200 })
  name?: string;

  @ApiPropertyOptional({ type: 'string', nullable: true, maxLength: 5000 })
  @ValidateIf((body: UpdateProductBody) => body.description !== undefined && body.description !== null)
  @IsText({ max: 5000, multiline: true })
  description?: string | null;

  @ApiPropertyOptional({ ...PRICE_DOCS, description: 'Existing reservations and orders keep their price.' })
  @Optional()
  @IsMoney(PRICE)
  price?: string;

  @ApiPropertyOptional({ description: 'An inactive product is not listed and cannot be reserved.' })
  @Optional()
  @IsBoolean()
  is_active?: boolean;

  @ApiPropertyOptional(STOCK_DOCS)
  @Optional()
  @IsWholeNumber({ min: 0, max: MAX_STOCK })
  low_stock_threshold?: number;
}

export class ProductsQuery extends PageQuery {
  @ApiPropertyOptional({
    description: 'Part of the sku or the name, regardless of case.',
    maxLength: 200,
    example: 'mug',
  })
  @Optional()
  @IsText({ max: 200 })
  q?: string;

  @ApiPropertyOptional({ type: 'boolean', description: 'Only those with (true) or without (false) available stock.' })
  @Optional()
  @QueryBoolean()
  in_stock?: boolean;

  @ApiPropertyOptional({
    type: 'boolean',
    default: false,
    description: 'For administrators: also inactive products.',
  })
  @Optional()
  @QueryBoolean()
  include_inactive?: boolean;
}

export class ProductResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ example: 'MUG-BLUE' })
  sku!: string;

  @ApiProperty({ example: 'Blue mug' })
  name!: string;

  @ApiProperty({ type: 'string', nullable: true })
  description!: string | null;

  @ApiProperty({ example: '19.90' })
  price!: string;

  @ApiProperty({ example: 'EUR' })
  currency!: string;

  @ApiProperty()
  is_active!: boolean;

  @ApiProperty({ type: 'integer' })
  low_stock_threshold!: number;

  @ApiProperty({
    type: 'integer',
    example: 100,
    description: 'Over all warehouses: available_stock + reserved_stock, always.',
  })
  total_stock!: number;

  @ApiProperty({ type: 'integer', example: 97 })
  available_stock!: number;

  @ApiProperty({ type: 'integer', example: 3 })
  reserved_stock!: number;

  @ApiProperty({
    type: 'integer',
    example: 1,
    description: 'Increases with every change of the product; for `If-Match`.',
  })
  version!: number;

  @ApiProperty({ format: 'date-time' })
  created_at!: string;

  @ApiProperty({ format: 'date-time' })
  updated_at!: string;
}

export class ProductStockLevelResponse {
  @ApiProperty({ format: 'uuid' })
  warehouse_id!: string;

  @ApiProperty({ example: 'MAIN' })
  warehouse_code!: string;

  @ApiProperty({ type: 'integer' })
  available_stock!: number;

  @ApiProperty({ type: 'integer' })
  reserved_stock!: number;

  @ApiProperty({ type: 'integer' })
  total_stock!: number;
}

export class ProductDetailResponse extends ProductResponse {
  @ApiProperty({ type: [ProductStockLevelResponse] })
  stock_levels!: ProductStockLevelResponse[];
}

export interface StockSums {
  available: number;
  reserved: number;
}

export function toProductResponse(product: Product, { available, reserved }: StockSums): ProductResponse {
  return {
    id: product.id,
    sku: product.sku,
    name: product.name,
    description: product.description,
    price: product.price,
    currency: product.currency,
    is_active: product.isActive,
    low_stock_threshold: product.lowStockThreshold,
    total_stock: available + reserved,
    available_stock: available,
    reserved_stock: reserved,
    version: product.version,
    created_at: product.createdAt.toISOString(),
    updated_at: product.updatedAt.toISOString(),
  };
}

export function toProductDetailResponse(product: Product, levels: ProductStockLevelResponse[]): ProductDetailResponse {
  const available = levels.reduce((sum, level) => sum + level.available_stock, 0);
  const reserved = levels.reduce((sum, level) => sum + level.reserved_stock, 0);
  return { ...toProductResponse(product, { available, reserved }), stock_levels: levels };
}

/** The values of a product in the audit log: those that a PATCH can change. */
export function toProductSnapshot({
  sku,
  name,
  description,
  price,
  currency,
  isActive,
  lowStockThreshold,
}: Product): object {
  return { sku, name, description, price, currency, is_active: isActive, low_stock_threshold: lowStockThreshold };
}
