import { Check, Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';
import { isOneOf, Moment, MomentNow } from '../../platform/database/columns';

export const DELIVERY_STATES = ['pending', 'delivered', 'dead'] as const;
export type DeliveryState = (typeof DELIVERY_STATES)[number];

/** An event that an endpoint is to get. */
@Entity('webhook_deliveries')
@Unique('webhook_deliveries_once', ['eventId', 'endpointId'])
@Index('webhook_deliveries_by_endpoint', ['endpointId', 'id'])
@Index('webhook_deliveries_due', ['endpointId', 'nextAttemptAt'], { where: `state = 'pending'` })
@Index('webhook_deliveries_of_object', ['endpointId', 'objectId', 'eventEra', 'eventTick', 'eventAt', 'eventId'], {
  where: `state = 'pending'`,
})
@Index('webhook_deliveries_dead', ['endpointId', 'id'], { where: `state = 'dead'` })
@Index('webhook_deliveries_tests', ['endpointId'], { where: `state = 'pending' AND type = 'webhook.test'` })
@Check('webhook_deliveries_state_known', isOneOf('state', DELIVERY_STATES))
export class WebhookDelivery {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('uuid')
  endpointId!: string;

  /** The audit row that is the event, and where it stands in the feed: era and tick, then time and id. */
  @Column('uuid')
  eventId!: string;

  @Column('integer')
  eventEra!: number;

  @Column('bigint')
  eventTick!: string;

  @Moment()
  eventAt!: Date;

  @Column('text')
  type!: string;

  @Column('uuid')
  objectId!: string;

  @Column('text', { default: 'pending' })
  state!: DeliveryState;

  /** How often it was sent; the number of the newest attempt. */
  @Column('integer', { default: 0 })
  attempts!: number;

  /** How often it failed since it was last to be delivered from the start. */
  @Column('integer', { default: 0 })
  failures!: number;

  /** While an attempt is under way: when another process may try, because the first has probably been killed. */
  @MomentNow()
  nextAttemptAt!: Date;

  @Column('integer', { nullable: true })
  lastStatus!: number | null;

  @Column('text', { nullable: true })
  lastError!: string | null;

  @MomentNow()
  createdAt!: Date;

  @MomentNow()
  updatedAt!: Date;
}

/** One request to an endpoint, and what came of it. */
@Entity('webhook_attempts')
export class WebhookAttempt {
  @PrimaryColumn('uuid')
  deliveryId!: string;

  @PrimaryColumn('integer')
  number!: number;

  @Moment()
  at!: Date;

  /** Null if there was no answer. */
  @Column('integer', { nullable: true })
  status!: number | null;

  @Column('integer')
  durationMs!: number;

  @Column('text', { nullable: true })
  error!: string | null;

  /** The beginning of the answer. */
  @Column('text', { nullable: true })
  responseHead!: string | null;
}
