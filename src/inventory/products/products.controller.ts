import { Body, Controller, Get, Patch, Post, Query } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Answer } from '../../platform/http/answer';
import { ApiData, ApiPage, ApiProblems } from '../../platform/http/api-docs';
import { IfMatch } from '../../platform/http/if-match';
import type { Page } from '../../platform/http/page';
import { IdParam } from '../../platform/http/params';
import { Idempotency, type IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Public, Roles } from '../../platform/security/access.decorators';
import { Caller, type UserActor } from '../../platform/security/actor';
import {
  CreateProductBody,
  ProductDetailResponse,
  ProductResponse,
  ProductsQuery,
  UpdateProductBody,
} from './products.dto';
import { ProductsService } from './products.service';

@ApiTags('Products and stock')
@Controller('api/products')
export class ProductsController {
  constructor(private readonly products: ProductsService) {}

  @Get()
  @Public(({ include_inactive }) => include_inactive !== 'true')
  @ApiOperation({ summary: 'Find products, newest first' })
  @ApiPage(ProductResponse, 'One page of products with their stock over all warehouses.')
  @ApiProblems('invalid_cursor', 'unauthenticated', 'issuer_unavailable', 'forbidden')
  list(@Query() query: ProductsQuery, @Caller() caller?: UserActor): Promise<Page<ProductResponse>> {
    return this.products.list(query, caller);
  }

  @Get(':id')
  @Public()
  @ApiOperation({ summary: 'A product and its stock in each warehouse' })
  @ApiData(ProductDetailResponse, 'The product; its version is in the ETag.')
  @ApiProblems('not_found')
  get(@IdParam() id: string, @Caller() caller?: UserActor): Promise<Answer<ProductDetailResponse>> {
    return this.products.get(id, caller);
  }

  @Post()
  @Roles('admin')
  @ApiOperation({ summary: 'Make a product, with its first stock' })
  @ApiData(ProductDetailResponse, 'The product.', 201)
  @ApiProblems('duplicate', 'not_found')
  create(
    @Body() body: CreateProductBody,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<ProductDetailResponse>> {
    return this.products.create(body, request);
  }

  @Patch(':id')
  @Roles('admin')
  @ApiOperation({ summary: 'Change a product' })
  @ApiHeader({
    name: 'If-Match',
    required: false,
    description: 'The version that the change is based on.',
    schema: { type: 'string', example: '"1"' },
  })
  @ApiData(ProductDetailResponse, 'The product after the change.')
  @ApiProblems('not_found', 'version_mismatch')
  update(
    @IdParam() id: string,
    @Body() body: UpdateProductBody,
    @IfMatch() ifMatch?: string,
  ): Promise<Answer<ProductDetailResponse>> {
    return this.products.update(id, body, ifMatch);
  }
}
