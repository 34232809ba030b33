import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { MomentNow } from '../platform/database/columns';

/** Who did what to which thing, and how it was before and after. Append-only: a trigger refuses anything else. */
@Entity('audit_logs')
@Index('audit_logs_by_time', ['createdAt', 'id'])
@Index('audit_logs_by_object', ['objectId', 'createdAt', 'id'])
@Index('audit_logs_by_actor', ['actor', 'createdAt', 'id'])
@Index('audit_logs_by_action', ['action', 'createdAt', 'id'])
@Index('audit_logs_by_request', ['requestId'])
export class AuditLog {
  @PrimaryColumn('uuid')
  id!: string;

  /** `user:<uuid>` or `system:<job>`. */
  @Column('text')
  actor!: string;

  @Column('text')
  action!: string;

  @Column('text')
  objectType!: string;

  @Column('uuid')
  objectId!: string;

  @Column('jsonb', { nullable: true })
  oldValue!: object | null;

  @Column('jsonb', { nullable: true })
  newValue!: object | null;

  @Column('uuid')
  requestId!: string;

  @MomentNow()
  createdAt!: Date;
}
