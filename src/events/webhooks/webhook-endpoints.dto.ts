import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional, PickType } from '@nestjs/swagger';
import { ArrayMaxSize, ArrayMinSize, ArrayUnique, IsArray, IsIn, ValidateBy } from 'class-validator';
import { MarkField } from '../../platform/http/known-fields';
import { IsText, Optional } from '../../platform/http/validators';
import { PUBLISHED_TYPES } from '../feed/event-types';
import { DISABLED_REASONS, ENDPOINT_STATES, ORDERINGS, type WebhookEndpoint } from './webhook-endpoint.entity';

const LONGEST_URL = 2000;
const LONGEST_DESCRIPTION = 500;

/** An http or https address without a password. */
function IsWebhookUrl(): PropertyDecorator {
  return applyDecorators(
    IsText({ min: 1, max: LONGEST_URL }),
    ValidateBy({
      name: 'isWebhookUrl',
      validator: {
        validate: (value: unknown) => typeof value === 'string' && isWebhookUrl(value),
        defaultMessage: () => '$property must be an http:// or https:// address without user, password and fragment',
      },
    }),
  );
}

function isWebhookUrl(text: string): boolean {
  if (!URL.canParse(text)) {
    return false;
  }
  const { protocol, username, password, hash } = new URL(text);
  return /^https?:$/.test(protocol) && username + password + hash === '';
}

function IsTypes(): PropertyDecorator {
  const message = `$property must be one or several of ${PUBLISHED_TYPES.join(', ')}`;
  return applyDecorators(
    ...[MarkField({ isRepeatable: true }), IsArray({ message }), ArrayMinSize(1, { message })],
    ...[ArrayMaxSize(PUBLISHED_TYPES.length), ArrayUnique({ message: '$property must not name one twice' })],
    IsIn(PUBLISHED_TYPES, { each: true, message }),
  );
}

const URL_DOCS = {
  example: 'https://shop.example/webhooks',
  maxLength: LONGEST_URL,
  description:
    'Where events are posted to: https, in production always, except for `WEBHOOK_ALLOWED_HOSTS`. ' +
    'Redirects are not followed, and only public addresses are connected to.',
};
const TYPES_DOCS = { enum: PUBLISHED_TYPES, isArray: true };
const ORDERING_DOCS = {
  enum: ORDERINGS,
  description: '`object`: no event of an object is sent before its earlier ones were delivered, or given up.',
};

export class CreateWebhookEndpointBody {
  @ApiProperty(URL_DOCS)
  @IsWebhookUrl()
  url!: string;

  @ApiPropertyOptional({ ...TYPES_DOCS, description: 'Which events it gets. Left out: all that there are now.' })
  @Optional()
  @IsTypes()
  types?: string[];

  @ApiPropertyOptional({ maxLength: LONGEST_DESCRIPTION })
  @Optional()
  @IsText({ max: LONGEST_DESCRIPTION })
  description?: string;

  @ApiPropertyOptional({ ...ORDERING_DOCS, default: 'none' })
  @Optional()
  @IsIn(ORDERINGS)
  ordering?: WebhookEndpoint['ordering'];
}

export class UpdateWebhookEndpointBody {
  @ApiPropertyOptional(URL_DOCS)
  @Optional()
  @IsWebhookUrl()
  url?: string;

  @ApiPropertyOptional(TYPES_DOCS)
  @Optional()
  @IsTypes()
  types?: string[];

  @ApiPropertyOptional({ maxLength: LONGEST_DESCRIPTION })
  @Optional()
  @IsText({ max: LONGEST_DESCRIPTION })
  description?: string;

  @ApiPropertyOptional(ORDERING_DOCS)
  @Optional()
  @IsIn(ORDERINGS)
  ordering?: WebhookEndpoint['ordering'];

  @ApiPropertyOptional({
    enum: ENDPOINT_STATES,
    description:
      'Disabled: nothing is sent. What was pending goes on when it is enabled again; what it misses meanwhile, `recover` ' +
      'delivers.',
  })
  @Optional()
  @IsIn(ENDPOINT_STATES)
  state?: WebhookEndpoint['state'];
}

export class WebhookEndpointResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty(URL_DOCS)
  url!: string;

  @ApiProperty({ type: String, nullable: true })
  description!: string | null;

  @ApiProperty(TYPES_DOCS)
  types!: string[];

  @ApiProperty(ORDERING_DOCS)
  ordering!: string;

  @ApiProperty({ enum: ENDPOINT_STATES })
  state!: string;

  @ApiProperty({
    enum: DISABLED_REASONS,
    nullable: true,
    description: '`gone`: it answered 410. `failing`: for five days, nothing got through.',
  })
  disabled_reason!: string | null;

  @ApiProperty({ type: 'integer', description: 'Failures since the last success.' })
  failures!: number;

  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'When the first of them was.' })
  failing_since!: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'Nothing is sent before this time.' })
  paused_until!: string | null;

  @ApiProperty({ type: 'integer' })
  version!: number;

  @ApiProperty({ format: 'date-time' })
  created_at!: string;

  @ApiProperty({ format: 'date-time' })
  updated_at!: string;
}

export class WebhookEndpointWithSecretResponse extends WebhookEndpointResponse {
  @ApiProperty({ description: 'Signs what is sent, as Standard Webhooks says. Shown this once.', example: 'whsec_…' })
  secret!: string;
}

export class WebhookEndpointSnapshot extends PickType(WebhookEndpointResponse, [
  ...(['url', 'description', 'types', 'ordering', 'state', 'version'] as const),
]) {}

export function toWebhookEndpointResponse(endpoint: WebhookEndpoint): WebhookEndpointResponse {
  return {
    id: endpoint.id,
    ...toWebhookEndpointSnapshot(endpoint),
    disabled_reason: endpoint.disabledReason,
    failures: endpoint.failures,
    failing_since: endpoint.failingSince?.toISOString() ?? null,
    paused_until: endpoint.pausedUntil?.toISOString() ?? null,
    created_at: endpoint.createdAt.toISOString(),
    updated_at: endpoint.updatedAt.toISOString(),
  };
}

/** What the audit log keeps of it: what somebody has set. */
export function toWebhookEndpointSnapshot(endpoint: WebhookEndpoint): WebhookEndpointSnapshot {
  const { url, description, types, ordering, state, version } = endpoint;
  return { url, description, types, ordering, state, version };
}
