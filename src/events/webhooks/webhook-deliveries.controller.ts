import { Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Answer } from '../../platform/http/answer';
import { ApiData, ApiPage, ApiProblems } from '../../platform/http/api-docs';
import type { Page } from '../../platform/http/page';
import { IdParam } from '../../platform/http/params';
import { Idempotency, type IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Roles } from '../../platform/security/access.decorators';
import {
  WebhookDeliveriesQuery,
  WebhookDeliveryDetailResponse,
  WebhookDeliveryResponse,
} from './webhook-deliveries.dto';
import { WebhookDeliveriesService } from './webhook-deliveries.service';

@ApiTags('Webhooks')
@Controller('api/webhook-deliveries')
@Roles('admin')
export class WebhookDeliveriesController {
  constructor(private readonly deliveries: WebhookDeliveriesService) {}

  @Get()
  @ApiOperation({ summary: 'Which events were sent to which endpoints, newest first' })
  @ApiPage(WebhookDeliveryResponse, 'One page of deliveries.')
  @ApiProblems('invalid_cursor')
  list(@Query() query: WebhookDeliveriesQuery): Promise<Page<WebhookDeliveryResponse>> {
    return this.deliveries.list(query);
  }

  @Get(':id')
  @ApiOperation({ summary: 'A delivery with its attempts' })
  @ApiData(WebhookDeliveryDetailResponse, 'The delivery.')
  @ApiProblems('not_found')
  get(@IdParam() id: string): Promise<WebhookDeliveryDetailResponse> {
    return this.deliveries.get(id);
  }

  @Post(':id/retry')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Deliver an event again',
    description: 'At once, whatever has become of it; and if that fails, again as from the start.',
  })
  @ApiData(WebhookDeliveryResponse, 'The delivery, which is pending again.')
  @ApiProblems('not_found')
  retry(@IdParam() id: string, @Idempotency() request: IdempotentRequest): Promise<Answer<WebhookDeliveryResponse>> {
    return this.deliveries.retry(id, request);
  }
}
