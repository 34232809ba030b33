import { Injectable } from '@nestjs/common';
import type { AuditAction } from '../../audit/audit-action';
import { AppConfig } from '../../platform/config/app-config';
import type { Tx } from '../../platform/database/tx';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { EventJobs } from '../event-jobs';
import { type EventConsumer, EventConsumers } from '../feed/event-consumers';
import type { EventRow } from '../feed/feed.query';
import { mailKindOf, mailedTypes } from './mailed-events';
import { MailTransport } from './mail-transport';
import { findMailedOrders, findNamedProducts, type QueuedMail, queueMails } from './mails.query';
import type { MailKind } from './templates/letters';

const PAUSE_MS = 500;

interface MailedEvent extends EventRow {
  readonly kind: MailKind;
}

/** Queues the mails of events: to whoever ordered, and to the address for alerts. */
@Injectable()
export class MailQueue implements EventConsumer {
  readonly name = 'mail';

  constructor(
    private readonly consumers: EventConsumers,
    private readonly transport: MailTransport,
    private readonly config: AppConfig,
    jobs: EventJobs,
  ) {
    jobs.add(this.name, PAUSE_MS, () => this.fill());
  }

  /** Queues the mails of the next events. @returns whether there may be more */
  fill(): Promise<boolean> {
    return this.consumers.consume(this);
  }

  /** None if there is no mail: what happens meanwhile is never told by mail. */
  types(): Promise<readonly AuditAction[]> {
    return Promise.resolve(this.transport.isOn ? mailedTypes(this.config) : []);
  }

  async take(unit: UnitOfWork, events: readonly EventRow[]): Promise<void> {
    const mailed = events.flatMap((event): MailedEvent[] => {
      const kind = mailKindOf(event, this.config.mailCustomers);
      return kind ? [{ ...event, kind }] : [];
    });
    const ofOrders = mailed.filter(({ objectType }) => objectType === 'order');
    const others = mailed.filter(({ objectType }) => objectType !== 'order');
    queueMails(unit, [...(await toCustomers(unit.tx, ofOrders)), ...(await this.toAlertEmail(unit.tx, others))]);
  }

  private async toAlertEmail(tx: Tx, events: readonly MailedEvent[]): Promise<QueuedMail[]> {
    const recipient = this.config.alertEmail;
    if (recipient === undefined || events.length === 0) {
      return [];
    }
    const products = await findNamedProducts(
      tx,
      events.map(({ objectId }) => objectId),
    );
    return events.map(({ id, kind, objectId, newValue }) => {
      return { eventId: id, recipient, kind, content: { ...products.get(objectId), ...newValue } };
    });
  }
}

/** Whoever is not among our users, as with an identity provider, gets none. */
async function toCustomers(tx: Tx, events: readonly MailedEvent[]): Promise<QueuedMail[]> {
  if (events.length === 0) {
    return [];
  }
  const orders = await findMailedOrders(
    tx,
    events.map(({ objectId }) => objectId),
  );
  return events.flatMap(({ id, kind, objectId }) => {
    const order = orders.get(objectId);
    return order ? [{ eventId: id, recipient: order.email, kind, content: order.content }] : [];
  });
}
