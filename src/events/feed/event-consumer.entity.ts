import { Column, Entity, PrimaryColumn } from 'typeorm';

/** How far a consumer has read the feed. */
@Entity('event_consumers')
export class EventConsumerPosition {
  @PrimaryColumn('text')
  name!: string;

  /** Made by `cursorOf`. It has read nothing after it. */
  @Column('text')
  cursor!: string;
}
