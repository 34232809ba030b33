import { Body, Controller, Get, Patch, Post, Query } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Answer } from '../platform/http/answer';
import { ApiData, ApiPage, ApiProblems } from '../platform/http/api-docs';
import { type Conditions, WithConditions } from '../platform/http/if-match';
import type { Page } from '../platform/http/page';
import { IdParam } from '../platform/http/params';
import { Idempotency, type IdempotentRequest } from '../platform/idempotency/idempotent-request';
import { Caller, type UserActor } from '../platform/security/actor';
import {
  ChangeOrderStatusBody,
  CreateOrderBody,
  OrderResponse,
  OrdersQuery,
  OrderStatusChangeResponse,
} from './orders.dto';
import { OrdersReader } from './orders.reader';
import { OrdersService } from './orders.service';

@ApiTags('Orders')
@Controller('api')
export class OrdersController {
  constructor(
    private readonly orders: OrdersService,
    private readonly reader: OrdersReader,
  ) {}

  @Post('orders')
  @ApiOperation({
    summary: 'Make a pending order, from a reservation or from items',
    description: 'Items are reserved in the same transaction: all or none.',
  })
  @ApiData(OrderResponse, 'The order, `pending`.', 201)
  @ApiProblems('not_found', 'insufficient_stock', 'reservation_not_active', 'duplicate')
  create(
    @Body() body: CreateOrderBody,
    @Caller() caller: UserActor,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<OrderResponse>> {
    return this.orders.create(body, caller, request);
  }

  @Post('reservations/:id/commit')
  @ApiTags('Reservations')
  @ApiOperation({
    summary: 'Turn a reservation into a confirmed order',
    description: 'The stock is deducted in the same transaction.',
  })
  @ApiData(OrderResponse, 'The order, `confirmed`.', 201)
  @ApiProblems('not_found', 'reservation_not_active')
  commit(
    @IdParam() id: string,
    @Caller() caller: UserActor,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<OrderResponse>> {
    return this.orders.commit(id, caller, request);
  }

  @Get('orders')
  @ApiOperation({ summary: 'Your orders; all of them for an administrator' })
  @ApiPage(OrderResponse, 'One page of orders. A cursor belongs to its filters and sort.')
  @ApiProblems('invalid_cursor', 'forbidden')
  list(@Query() query: OrdersQuery, @Caller() caller: UserActor): Promise<Page<OrderResponse>> {
    return this.reader.list(query, caller);
  }

  @Get('orders/:id')
  @ApiOperation({ summary: 'An order' })
  @ApiData(OrderResponse, 'The order; its version is in the ETag.')
  @ApiProblems('not_found')
  get(@IdParam() id: string, @Caller() caller: UserActor): Promise<Answer<OrderResponse>> {
    return this.reader.get(id, caller);
  }

  @Patch('orders/:id/status')
  @ApiOperation({
    summary: 'Change the status of an order',
    description: 'A user may confirm and cancel their own orders; an administrator may make every valid transition.',
  })
  @ApiHeader({
    name: 'If-Match',
    required: false,
    description: 'The version that the change is based on.',
    schema: { type: 'string', example: '"1"' },
  })
  @ApiData(OrderResponse, 'The order after the change.')
  @ApiProblems(
    'forbidden',
    'not_found',
    'invalid_transition',
    'reservation_not_active',
    'stock_level_full',
    'version_mismatch',
  )
  changeStatus(
    @IdParam() id: string,
    @Body() body: ChangeOrderStatusBody,
    @Caller() caller: UserActor,
    @WithConditions() conditions: Conditions,
  ): Promise<Answer<OrderResponse>> {
    return this.orders.changeStatus(id, body, caller, conditions);
  }

  @Get('orders/:id/history')
  @ApiOperation({ summary: 'The status changes of an order, oldest first' })
  @ApiPage(OrderStatusChangeResponse, 'All of them, on one page.')
  @ApiProblems('not_found')
  history(@IdParam() id: string, @Caller() caller: UserActor): Promise<Page<OrderStatusChangeResponse>> {
    return this.reader.history(id, caller);
  }
}
