import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsUUID } from 'class-validator';
import { PageQuery } from '../../platform/http/page';
import { IsMomentOrDay, Optional } from '../../platform/http/validators';
import {
  DELIVERY_STATES,
  type DeliveryState,
  type WebhookAttempt,
  type WebhookDelivery,
} from './webhook-delivery.entity';

const STATE_DOCS = { enum: DELIVERY_STATES, description: '`dead`: it was given up, until somebody retries it.' };

export class WebhookDeliveriesQuery extends PageQuery {
  @ApiPropertyOptional({ format: 'uuid' })
  @Optional()
  @IsUUID()
  endpoint_id?: string;

  @ApiPropertyOptional(STATE_DOCS)
  @Optional()
  @IsIn(DELIVERY_STATES)
  state?: DeliveryState;

  @ApiPropertyOptional({ format: 'uuid' })
  @Optional()
  @IsUUID()
  event_id?: string;
}

export class WebhookDeliveryResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ format: 'uuid' })
  endpoint_id!: string;

  @ApiProperty({ format: 'uuid', description: 'The `webhook-id` of each attempt.' })
  event_id!: string;

  @ApiProperty({ example: 'order.created' })
  type!: string;

  @ApiProperty({ format: 'uuid' })
  object_id!: string;

  @ApiProperty(STATE_DOCS)
  state!: string;

  @ApiProperty({ type: 'integer', description: 'How often it was sent.' })
  attempt_count!: number;

  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    description: 'When it is sent again at the earliest; null if it is not pending.',
  })
  next_attempt_at!: string | null;

  @ApiProperty({ type: 'integer', nullable: true })
  last_status!: number | null;

  @ApiProperty({ type: String, nullable: true })
  last_error!: string | null;

  @ApiProperty({ format: 'date-time' })
  created_at!: string;

  @ApiProperty({ format: 'date-time' })
  updated_at!: string;
}

export class WebhookAttemptResponse {
  @ApiProperty({ format: 'date-time' })
  at!: string;

  @ApiProperty({ type: 'integer', nullable: true, description: 'Null if there was no answer.' })
  status!: number | null;

  @ApiProperty({ type: 'integer' })
  duration_ms!: number;

  @ApiProperty({ type: String, nullable: true })
  error!: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'The first kilobyte of the answer.' })
  response_head!: string | null;
}

export class WebhookDeliveryDetailResponse extends WebhookDeliveryResponse {
  @ApiProperty({ type: [WebhookAttemptResponse], description: 'Oldest first.' })
  attempts!: WebhookAttemptResponse[];
}

export class RecoverBody {
  @ApiProperty({
    description: 'RFC 3339 time, or a day (from its first moment, UTC).',
    example: '2026-01-31T12:00:00Z',
  })
  @IsMomentOrDay()
  since!: string;
}

export class WebhookTestResponse {
  @ApiProperty({ format: 'uuid', description: 'The event that is sent: its delivery can be looked up by it.' })
  event_id!: string;
}

export class RecoverResponse {
  @ApiProperty({ type: 'integer', description: 'How many deliveries were given up, and are pending again.' })
  deliveries!: number;
}

export function toWebhookDeliveryResponse(delivery: WebhookDelivery): WebhookDeliveryResponse {
  const { id, type, state, nextAttemptAt } = delivery;
  return {
    ...{ id, endpoint_id: delivery.endpointId, event_id: delivery.eventId, type, object_id: delivery.objectId, state },
    attempt_count: delivery.attempts,
    next_attempt_at: state === 'pending' ? nextAttemptAt.toISOString() : null,
    last_status: delivery.lastStatus,
    last_error: delivery.lastError,
    created_at: delivery.createdAt.toISOString(),
    updated_at: delivery.updatedAt.toISOString(),
  };
}

export function toWebhookAttemptResponse(attempt: WebhookAttempt): WebhookAttemptResponse {
  const { at, status, durationMs, error, responseHead } = attempt;
  return { at: at.toISOString(), status, duration_ms: durationMs, error, response_head: responseHead };
}
