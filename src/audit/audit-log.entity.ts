import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/**
 * Who did what to which object, with its values before and after. Append-only: a trigger refuses changes. Partitioned
 * by the month of `created_at`, so the primary key begins with it, and serves as the index by time.
 */
@Entity('audit_logs')
@Index('audit_logs_by_object', ['objectId', 'createdAt', 'id'])
@Index('audit_logs_by_actor', ['actor', 'action', 'createdAt', 'id'])
@Index('audit_logs_by_action', ['action', 'createdAt', 'id'])
@Index('audit_logs_by_request', ['requestId'])
@Index('audit_logs_by_xid', ['xid'], { where: 'xid IS NOT NULL' })
export class AuditLog {
  @PrimaryColumn({ type: 'timestamptz', precision: 3, default: () => 'clock_timestamp()' })
  createdAt!: Date;

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

  /** The transaction that wrote the row, for the feed of events. A number, because TypeORM knows no xid8. Null: no event. */
  @Column({ type: 'bigint', nullable: true, default: () => 'txid_current()' })
  xid!: string | null;
}
