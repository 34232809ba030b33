import { Check, Column, Entity, PrimaryColumn } from 'typeorm';
import { isOneOf, MomentNow } from '../../platform/database/columns';

export const ORDERINGS = ['none', 'object'] as const;
export const ENDPOINT_STATES = ['enabled', 'disabled'] as const;
/** Who or what disabled it: an administrator, its answer 410, or five days of nothing but failures. */
export const DISABLED_REASONS = ['by_administrator', 'gone', 'failing'] as const;
export type DisabledReason = (typeof DISABLED_REASONS)[number];

const LaterMoment = (): PropertyDecorator => Column({ type: 'timestamptz', precision: 3, nullable: true });

/** A receiver of events. */
@Entity('webhook_endpoints')
@Check('webhook_endpoints_ordering_known', isOneOf('ordering', ORDERINGS))
@Check('webhook_endpoints_state_known', isOneOf('state', ENDPOINT_STATES))
export class WebhookEndpoint {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('text')
  url!: string;

  @Column('text', { nullable: true })
  description!: string | null;

  @Column('text', { array: true })
  types!: string[];

  /** `object`: no event of an object is sent before its earlier ones were delivered, or given up. */
  @Column('text')
  ordering!: (typeof ORDERINGS)[number];

  @Column('text', { default: 'enabled' })
  state!: (typeof ENDPOINT_STATES)[number];

  @Column('text', { nullable: true })
  disabledReason!: DisabledReason | null;

  /** Encrypted. */
  @Column('text')
  secret!: string;

  /** Encrypted. It signs too, until the time beside it. */
  @Column('text', { nullable: true })
  previousSecret!: string | null;

  @LaterMoment()
  previousSecretUntil!: Date | null;

  /** Failures since the last success, and when the first of them was. */
  @Column('integer', { default: 0 })
  failures!: number;

  @LaterMoment()
  failingSince!: Date | null;

  /** Nothing is sent before this time. */
  @LaterMoment()
  pausedUntil!: Date | null;

  @Column('integer', { default: 1 })
  version!: number;

  @MomentNow()
  createdAt!: Date;

  @MomentNow()
  updatedAt!: Date;
}
