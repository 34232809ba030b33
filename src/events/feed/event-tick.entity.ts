import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

/**
 * A section of the feed: the events of all transactions that are visible in its snapshot of the database, and were not in the
 * snapshot of the previous tick. This is the method of PgQ (Skytools, `pgq.batch_event_sql`). However transactions overlap,
 * each event is in exactly one tick, a tick never changes, and no tick waits for a transaction that stays open.
 */
@Entity('event_ticks')
@Index('event_ticks_by_time', ['at'])
export class EventTick {
  /** Goes up when transaction ids start again: after a dump was restored into a new cluster. */
  @PrimaryColumn('integer')
  era!: number;

  @PrimaryColumn({ type: 'bigint' })
  id!: string;

  @Column({ type: 'timestamptz', precision: 3 })
  at!: Date;

  /** A `pg_snapshot`, which TypeORM does not know. */
  @Column('text')
  snapshot!: string;

  /** The first transaction id that was not yet used at the previous tick. */
  @Column({ type: 'bigint' })
  firstXid!: string;

  /** The first transaction id that is not yet used. */
  @Column({ type: 'bigint' })
  endXid!: string;

  /** Transactions that were open at the previous tick and are visible now. */
  @Column({ type: 'bigint', array: true })
  lateXids!: string[];

  /** Its rows were written from this time on, and before `rowsUntil`. Keeps out rows of other eras. */
  @Column({ type: 'timestamptz', precision: 3 })
  rowsFrom!: Date;

  @Column({ type: 'timestamptz', precision: 3 })
  rowsUntil!: Date;

  /** How many events it has of each type. */
  @Column('jsonb')
  counts!: Record<string, number>;
}

/** Which tick is the newest. The process that makes the next one locks this row. */
@Entity('event_head')
@Check('event_head_is_one', 'singleton')
export class EventHead {
  @PrimaryColumn('boolean', { default: true })
  singleton!: boolean;

  @Column('integer')
  era!: number;

  @Column({ type: 'bigint' })
  tick!: string;

  /** Audit rows from before this time belong to earlier eras. */
  @Column({ type: 'timestamptz', precision: 3 })
  eraStart!: Date;
}
