import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/**
 * A piece of the feed: the events of all transactions that its snapshot of the database sees, and the snapshot of the tick
 * before did not. This is the method of PgQ (Skytools, `pgq.batch_event_sql`): nothing is lost or told twice, however the
 * writers overlap, and nobody waits for a transaction that stays open. What it sees in a tick never changes afterwards.
 */
@Entity('event_ticks')
@Index('event_ticks_by_time', ['at'])
export class EventTick {
  /** Grows when transaction ids start again, as after the restore of a dump into a new cluster. */
  @PrimaryColumn('integer')
  era!: number;

  @PrimaryColumn({ type: 'bigint' })
  id!: string;

  @Column({ type: 'timestamptz', precision: 3 })
  at!: Date;

  /** A `pg_snapshot`, which TypeORM does not know. */
  @Column('text')
  snapshot!: string;

  /** Transactions from this one on had not begun at the tick before. */
  @Column({ type: 'bigint' })
  firstXid!: string;

  /** Transactions from this one on have not begun. */
  @Column({ type: 'bigint' })
  endXid!: string;

  /** Transactions that were open at the tick before, and have committed since. */
  @Column({ type: 'bigint', array: true })
  lateXids!: string[];

  /** Its rows were written at this time or later, and before the other: not in another era. */
  @Column({ type: 'timestamptz', precision: 3 })
  rowsFrom!: Date;

  @Column({ type: 'timestamptz', precision: 3 })
  rowsUntil!: Date;

  /** How many events it has of each type. */
  @Column('jsonb')
  counts!: Record<string, number>;
}

/** The newest tick. Whoever makes the next one locks this row. */
@Entity('event_head')
@Check('event_head_is_one', 'singleton')
export class EventHead {
  @PrimaryColumn('boolean', { default: true })
  singleton!: boolean;

  @Column('integer')
  era!: number;

  @Column({ type: 'bigint' })
  tick!: string;

  /** Rows of the audit log that were written before this time belong to earlier eras. */
  @Column({ type: 'timestamptz', precision: 3 })
  eraStart!: Date;
}
