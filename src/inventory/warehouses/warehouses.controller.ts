import { Body, Controller, Get, Patch, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Answer } from '../../platform/http/answer';
import { ApiData, ApiPage, ApiProblems } from '../../platform/http/api-docs';
import { type Page, PageQuery } from '../../platform/http/page';
import { IdParam } from '../../platform/http/params';
import { Idempotency, type IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Roles } from '../../platform/security/access.decorators';
import { CreateWarehouseBody, UpdateWarehouseBody, WarehouseResponse } from './warehouses.dto';
import { WarehousesService } from './warehouses.service';

@ApiTags('Warehouses')
@Controller('api/warehouses')
export class WarehousesController {
  constructor(private readonly warehouses: WarehousesService) {}

  @Get()
  @ApiOperation({ summary: 'The warehouses, in the order in which they serve' })
  @ApiPage(WarehouseResponse, 'One page of warehouses.')
  @ApiProblems('invalid_cursor')
  list(@Query() query: PageQuery): Promise<Page<WarehouseResponse>> {
    return this.warehouses.list(query);
  }

  @Post()
  @Roles('admin')
  @ApiOperation({ summary: 'Make a warehouse' })
  @ApiData(WarehouseResponse, 'The warehouse.', 201)
  @ApiProblems('duplicate')
  create(
    @Body() body: CreateWarehouseBody,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<WarehouseResponse>> {
    return this.warehouses.create(body, request);
  }

  @Patch(':id')
  @Roles('admin')
  @ApiOperation({ summary: 'Change a warehouse' })
  @ApiData(WarehouseResponse, 'The warehouse after the change.')
  @ApiProblems('not_found', 'duplicate')
  update(@IdParam() id: string, @Body() body: UpdateWarehouseBody): Promise<WarehouseResponse> {
    return this.warehouses.update(id, body);
  }
}
