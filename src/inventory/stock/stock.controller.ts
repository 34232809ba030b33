import { Body, Controller, Get, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Answer } from '../../platform/http/answer';
import { ApiData, ApiPage, ApiProblems } from '../../platform/http/api-docs';
import { type Page, PageQuery } from '../../platform/http/page';
import { IdParam } from '../../platform/http/params';
import { Idempotency, type IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Roles } from '../../platform/security/access.decorators';
import {
  AdjustStockBody,
  StockLevelResponse,
  StockMovementResponse,
  TransferResponse,
  TransferStockBody,
} from './stock.dto';
import { StockService } from './stock.service';

@ApiTags('Products and stock')
@Controller('api')
export class StockController {
  constructor(private readonly stock: StockService) {}

  @Post('products/:id/stock-adjustments')
  @Roles('admin')
  @ApiOperation({ summary: 'Add pieces to a warehouse, or take available ones away' })
  @ApiData(StockLevelResponse, 'The level after the adjustment.', 201)
  @ApiProblems('not_found', 'insufficient_stock')
  adjust(
    @IdParam() id: string,
    @Body() body: AdjustStockBody,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<StockLevelResponse>> {
    return this.stock.adjust(id, body, request);
  }

  @Get('products/:id/stock-movements')
  @Roles('admin')
  @ApiOperation({ summary: 'The ledger of a product, newest first' })
  @ApiPage(StockMovementResponse, 'One page of the ledger.')
  @ApiProblems('not_found', 'invalid_cursor')
  movements(@IdParam() id: string, @Query() query: PageQuery): Promise<Page<StockMovementResponse>> {
    return this.stock.movements(id, query);
  }

  @Post('stock-transfers')
  @Roles('admin')
  @ApiOperation({ summary: 'Move available pieces from one warehouse to another' })
  @ApiData(TransferResponse, 'The transfer, and both levels after it.', 201)
  @ApiProblems('not_found', 'insufficient_stock')
  transfer(
    @Body() body: TransferStockBody,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<TransferResponse>> {
    return this.stock.transfer(body, request);
  }
}
