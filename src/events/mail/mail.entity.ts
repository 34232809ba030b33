import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { isOneOf, MomentNow } from '../../platform/database/columns';
import type { MailKind } from './templates/letters';

/** `failed`: refused for good, or not taken in three days. */
export const MAIL_STATES = ['pending', 'sent', 'failed'] as const;
export type MailState = (typeof MAIL_STATES)[number];

/** A mail that an event causes, once for each recipient. */
@Entity('mails')
@Index('mails_due', ['nextAttemptAt'], { where: `state = 'pending'` })
@Index('mails_by_state', ['state', 'createdAt'])
@Check('mails_state_known', isOneOf('state', MAIL_STATES))
export class Mail {
  @PrimaryColumn('uuid')
  eventId!: string;

  @PrimaryColumn('text')
  recipient!: string;

  @Column('text')
  kind!: MailKind;

  /** What its template wants to know. */
  @Column('jsonb')
  content!: object;

  @Column('text', { default: 'pending' })
  state!: MailState;

  /** How often it was sent, or tried to be. */
  @Column('integer', { default: 0 })
  attempts!: number;

  /** While an attempt is under way: when another process may try, because the first has probably been killed. */
  @MomentNow()
  nextAttemptAt!: Date;

  @Column('text', { nullable: true })
  lastError!: string | null;

  @MomentNow()
  createdAt!: Date;
}
