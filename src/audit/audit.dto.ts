import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsUUID, Matches } from 'class-validator';
import { DateRangeQuery } from '../platform/http/date-range';
import { Optional } from '../platform/http/validators';
import { AUDIT_ACTIONS, type AuditAction } from './audit-action';
import type { AuditLog } from './audit-log.entity';

export const OBJECT_TYPES = [
  ...(['user', 'product', 'warehouse', 'stock', 'reservation', 'order'] as const),
  ...(['webhook_endpoint', 'audit_log'] as const),
] as const;

export class AuditQuery extends DateRangeQuery {
  @ApiPropertyOptional({ description: '`user:<uuid>` or `system:<job>`.', example: 'system:reservation-expiry' })
  @Optional()
  @Matches(/^(user:[0-9a-fA-F-]{36}|system:[a-z-]{1,64})$/, { message: 'actor must be user:<uuid> or system:<job>' })
  actor?: string;

  @ApiPropertyOptional({ enum: AUDIT_ACTIONS })
  @Optional()
  @IsIn(AUDIT_ACTIONS)
  action?: AuditAction;

  @ApiPropertyOptional({ enum: OBJECT_TYPES })
  @Optional()
  @IsIn(OBJECT_TYPES)
  object_type?: (typeof OBJECT_TYPES)[number];

  @ApiPropertyOptional({ format: 'uuid' })
  @Optional()
  @IsUUID()
  object_id?: string;

  @ApiPropertyOptional({ format: 'uuid' })
  @Optional()
  @IsUUID()
  request_id?: string;
}

export class AuditLogResponse {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ example: 'user:0199d1a2-7c3e-7b44-9f0e-3a5b1c2d4e6f' })
  actor!: string;

  @ApiProperty({ enum: AUDIT_ACTIONS })
  action!: string;

  @ApiProperty({ enum: OBJECT_TYPES })
  object_type!: string;

  @ApiProperty({ format: 'uuid' })
  object_id!: string;

  @ApiProperty({ type: 'object', additionalProperties: true, nullable: true })
  old_value!: object | null;

  @ApiProperty({ type: 'object', additionalProperties: true, nullable: true })
  new_value!: object | null;

  @ApiProperty({ format: 'uuid' })
  request_id!: string;

  @ApiProperty({ format: 'date-time' })
  timestamp!: string;
}

export function toAuditLogResponse(row: AuditLog): AuditLogResponse {
  return {
    id: row.id,
    actor: row.actor,
    action: row.action,
    object_type: row.objectType,
    object_id: row.objectId,
    old_value: row.oldValue,
    new_value: row.newValue,
    request_id: row.requestId,
    timestamp: row.createdAt.toISOString(),
  };
}
