import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsString, IsUUID, MaxLength } from 'class-validator';
import { Optional, QueryList, QueryWholeNumber } from '../../platform/http/validators';
import { OBJECT_TYPES } from '../../audit/audit.dto';
import { cursorOf } from './event-position';
import { positionOfEvent } from './event-feed';
import { EVENT_TYPES } from './event-types';
import type { EventFilters, EventRow } from './feed.query';

const DEFAULT_LIMIT = 100;
export const MOST_EVENTS = 1000;

/** Which events. */
export class EventFilterQuery {
  @ApiPropertyOptional({ description: `One or several, comma-separated, of ${EVENT_TYPES.join(', ')}.` })
  @Optional()
  @QueryList(EVENT_TYPES)
  types?: string[];

  @ApiPropertyOptional({ enum: OBJECT_TYPES })
  @Optional()
  @IsIn(OBJECT_TYPES)
  object_type?: string;

  @ApiPropertyOptional({ format: 'uuid' })
  @Optional()
  @IsUUID()
  object_id?: string;

  @ApiPropertyOptional({
    example: 'beginning',
    description:
      'The `cursor` of an event, or the `next_cursor` of a page: go on after it. `beginning`: from the oldest event ' +
      'that is kept. Left out: from now on.',
  })
  @Optional()
  @IsString()
  @MaxLength(200)
  after?: string;
}

export class EventsQuery extends EventFilterQuery {
  @ApiPropertyOptional({ minimum: 1, maximum: MOST_EVENTS, default: DEFAULT_LIMIT, type: 'integer' })
  @QueryWholeNumber({ min: 1, max: MOST_EVENTS })
  limit: number = DEFAULT_LIMIT;
}

export class EventObject {
  @ApiProperty({ enum: OBJECT_TYPES })
  type!: string;

  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiPropertyOptional({ type: 'integer', description: 'What its version is after the change, if it has versions.' })
  version?: number;
}

export class EventData {
  @ApiProperty({ type: 'object', additionalProperties: true, nullable: true })
  old!: object | null;

  @ApiProperty({ type: 'object', additionalProperties: true, nullable: true })
  new!: object | null;
}

export class EventResponse {
  @ApiProperty({ format: 'uuid', description: 'Of the row of the audit log; the `webhook-id` of its deliveries.' })
  id!: string;

  @ApiProperty({ enum: EVENT_TYPES })
  type!: string;

  @ApiProperty({ format: 'date-time' })
  timestamp!: string;

  @ApiProperty({ description: 'Go on after this event with it.' })
  cursor!: string;

  @ApiProperty({ example: 'user:0199d1a2-7c3e-7b44-9f0e-3a5b1c2d4e6f' })
  actor!: string;

  @ApiProperty({ format: 'uuid' })
  request_id!: string;

  @ApiProperty()
  object!: EventObject;

  @ApiProperty()
  data!: EventData;
}

export function toEventResponse(row: EventRow): EventResponse {
  const version = (row.newValue as { version?: number } | null)?.version;
  return {
    id: row.id,
    type: row.action,
    timestamp: row.createdAt.toISOString(),
    cursor: cursorOf(positionOfEvent(row)),
    actor: row.actor,
    request_id: row.requestId,
    object: { type: row.objectType, id: row.objectId, ...(version !== undefined && { version }) },
    data: { old: row.oldValue, new: row.newValue },
  };
}

export function filtersOf({ types, object_type, object_id }: EventFilterQuery): EventFilters {
  return {
    ...(types && { types }),
    ...(object_type && { objectType: object_type }),
    ...(object_id && { objectId: object_id }),
  };
}
