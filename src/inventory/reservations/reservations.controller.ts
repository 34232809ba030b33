import { Body, Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Answer } from '../../platform/http/answer';
import { ApiData, ApiPage, ApiProblems } from '../../platform/http/api-docs';
import type { Page } from '../../platform/http/page';
import { IdParam } from '../../platform/http/params';
import { Idempotency, type IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Caller, type UserActor } from '../../platform/security/actor';
import {
  CreateReservationBody,
  ExtendReservationBody,
  ReservationResponse,
  ReservationsQuery,
} from './reservations.dto';
import { ReservationsReader } from './reservations.reader';
import { ReservationsService } from './reservations.service';

@ApiTags('Reservations')
@Controller('api/reservations')
export class ReservationsController {
  constructor(
    private readonly reservations: ReservationsService,
    private readonly reader: ReservationsReader,
  ) {}

  @Post()
  @ApiOperation({
    summary: 'Hold stock for a short time',
    description: 'All lines or none. The price is held like the stock.',
  })
  @ApiData(ReservationResponse, 'The reservation; `Location` is its path.', 201)
  @ApiProblems('not_found', 'insufficient_stock')
  create(
    @Body() body: CreateReservationBody,
    @Caller() caller: UserActor,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<ReservationResponse>> {
    return this.reservations.create(body, caller, request);
  }

  @Get()
  @ApiOperation({ summary: 'Your reservations, newest first; all of them for an administrator' })
  @ApiPage(ReservationResponse, 'One page of reservations.')
  @ApiProblems('invalid_cursor')
  list(@Query() query: ReservationsQuery, @Caller() caller: UserActor): Promise<Page<ReservationResponse>> {
    return this.reader.list(query, caller);
  }

  @Get(':id')
  @ApiOperation({ summary: 'A reservation' })
  @ApiData(ReservationResponse, 'The reservation.')
  @ApiProblems('not_found')
  get(@IdParam() id: string, @Caller() caller: UserActor): Promise<ReservationResponse> {
    return this.reader.get(id, caller);
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Cancel a reservation',
    description: 'The stock becomes available again. A pending order of the reservation is cancelled with it.',
  })
  @ApiData(ReservationResponse, 'The cancelled reservation.')
  @ApiProblems('not_found', 'reservation_not_active')
  cancel(
    @IdParam() id: string,
    @Caller() caller: UserActor,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<ReservationResponse>> {
    return this.reservations.cancel(id, caller, request);
  }

  @Post(':id/extend')
  @HttpCode(200)
  @ApiOperation({ summary: 'Extend the hold' })
  @ApiData(ReservationResponse, 'The reservation with its new `expires_at`.')
  @ApiProblems('not_found', 'reservation_not_active')
  extend(
    @IdParam() id: string,
    @Body() body: ExtendReservationBody,
    @Caller() caller: UserActor,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<ReservationResponse>> {
    return this.reservations.extend(id, body, caller, request);
  }
}
