import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Answer } from '../../platform/http/answer';
import { ApiData, ApiPage, ApiProblems } from '../../platform/http/api-docs';
import { IfMatch } from '../../platform/http/if-match';
import { type Page, PageQuery } from '../../platform/http/page';
import { IdParam } from '../../platform/http/params';
import { Idempotency, type IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Roles } from '../../platform/security/access.decorators';
import { RecoverBody, RecoverResponse, WebhookTestResponse } from './webhook-deliveries.dto';
import { WebhookDeliveriesService } from './webhook-deliveries.service';
import {
  CreateWebhookEndpointBody,
  UpdateWebhookEndpointBody,
  WebhookEndpointResponse,
  WebhookEndpointWithSecretResponse,
} from './webhook-endpoints.dto';
import { WebhookEndpointsService } from './webhook-endpoints.service';
import { WebhookSecretIssuer } from './webhook-secret-issuer';

const IF_MATCH = {
  name: 'If-Match',
  required: false,
  description: 'The version that the change is meant for.',
  schema: { type: 'string' as const, example: '"1"' },
};

@ApiTags('Webhooks')
@Controller('api/webhook-endpoints')
@Roles('admin')
export class WebhookEndpointsController {
  constructor(
    private readonly endpoints: WebhookEndpointsService,
    private readonly deliveries: WebhookDeliveriesService,
    private readonly secrets: WebhookSecretIssuer,
  ) {}

  @Get()
  @ApiOperation({ summary: 'The receivers of events, newest first' })
  @ApiPage(WebhookEndpointResponse, 'One page of endpoints.')
  @ApiProblems('invalid_cursor')
  list(@Query() query: PageQuery): Promise<Page<WebhookEndpointResponse>> {
    return this.endpoints.list(query);
  }

  @Post()
  @ApiOperation({
    summary: 'Have events sent to an address',
    description:
      'Each event is posted as `GET /api/events` gives it, signed as Standard Webhooks says, at least once: take the header ' +
      '`webhook-id` to tell repetitions. Any status of 2xx takes it. Else it is sent again, ten times over three days.',
  })
  @ApiData(WebhookEndpointWithSecretResponse, 'The endpoint, with its secret.', 201)
  create(
    @Body() body: CreateWebhookEndpointBody,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<WebhookEndpointWithSecretResponse>> {
    return this.secrets.create(body, request);
  }

  @Get(':id')
  @ApiOperation({ summary: 'An endpoint' })
  @ApiData(WebhookEndpointResponse, 'The endpoint; its version is in the ETag.')
  @ApiProblems('not_found')
  get(@IdParam() id: string): Promise<Answer<WebhookEndpointResponse>> {
    return this.endpoints.get(id);
  }

  @Patch(':id')
  @ApiOperation({ summary: 'Change an endpoint, or disable or enable it' })
  @ApiHeader(IF_MATCH)
  @ApiData(WebhookEndpointResponse, 'The endpoint after the change.')
  @ApiProblems('not_found', 'version_mismatch')
  update(
    @IdParam() id: string,
    @Body() body: UpdateWebhookEndpointBody,
    @IfMatch() ifMatch?: string,
  ): Promise<Answer<WebhookEndpointResponse>> {
    return this.endpoints.update(id, body, ifMatch);
  }

  @Delete(':id')
  @ApiOperation({
    summary: 'Delete an endpoint',
    description: 'What was pending is given up; the record of its deliveries stays for as long as events are kept.',
  })
  @ApiHeader(IF_MATCH)
  @ApiData(WebhookEndpointResponse, 'The endpoint as it was.')
  @ApiProblems('not_found', 'version_mismatch')
  remove(@IdParam() id: string, @IfMatch() ifMatch?: string): Promise<Answer<WebhookEndpointResponse>> {
    return this.endpoints.remove(id, ifMatch);
  }

  @Post(':id/test')
  @ApiOperation({
    summary: 'Send `webhook.test` to this endpoint',
    description: 'Once, and also if it is disabled or paused. Look for the delivery by `event_id` to see the answer.',
  })
  @ApiData(WebhookTestResponse, 'The event that is sent.', 201)
  @ApiProblems('not_found')
  test(@IdParam() id: string, @Idempotency() request: IdempotentRequest): Promise<Answer<WebhookTestResponse>> {
    return this.deliveries.test(id, request);
  }

  @Post(':id/rotate-secret')
  @HttpCode(200)
  @ApiOperation({ summary: 'Give an endpoint a new secret', description: 'The old one signs too, for 24 hours.' })
  @ApiData(WebhookEndpointWithSecretResponse, 'The endpoint, with its new secret.')
  @ApiProblems('not_found')
  rotateSecret(
    @IdParam() id: string,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<WebhookEndpointWithSecretResponse>> {
    return this.secrets.rotate(id, request);
  }

  @Post(':id/recover')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Deliver again what was not taken since a time',
    description: 'What was given up, and what happened while the endpoint was disabled.',
  })
  @ApiData(RecoverResponse, 'How much that is.')
  @ApiProblems('not_found')
  recover(
    @IdParam() id: string,
    @Body() body: RecoverBody,
    @Idempotency() request: IdempotentRequest,
  ): Promise<Answer<RecoverResponse>> {
    return this.deliveries.recover(id, body, request);
  }
}
