import { Column, Entity, PrimaryColumn } from 'typeorm';

/** How far somebody has read the feed of events who writes down what follows from them. */
@Entity('event_consumers')
export class EventConsumerPosition {
  @PrimaryColumn('text')
  name!: string;

  /** As `cursorOf` makes it. What comes after it has not been read. */
  @Column('text')
  cursor!: string;
}
