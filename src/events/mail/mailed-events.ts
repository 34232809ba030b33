import type { AuditAction } from '../../audit/audit-action';
import type { AppConfig } from '../../platform/config/app-config';
import type { MailKind } from './templates/letters';

type MailSettings = Pick<AppConfig, 'mailCustomers' | 'alertEmail'>;

/** What an event tells that decides whether there is a mail of it. */
interface MailableEvent {
  readonly action: string;
  readonly actor: string;
  readonly newValue: object | null;
}

const EXPIRY = 'system:reservation-expiry';

/** The types of events of which there may be mails. */
export function mailedTypes({ mailCustomers, alertEmail }: MailSettings): AuditAction[] {
  return [
    ...(mailCustomers.length > 0 ? (['order.status_changed'] as const) : []),
    ...(alertEmail === undefined ? [] : (['stock.low', 'stock.depleted', 'webhook_endpoint.disabled'] as const)),
  ];
}

/** The mail that an event causes; undefined if none. @param wanted of what customers are told */
export function mailKindOf(event: MailableEvent, wanted: MailSettings['mailCustomers']): MailKind | undefined {
  switch (event.action) {
    case 'stock.low':
      return 'stock_low';
    case 'stock.depleted':
      return 'stock_depleted';
    case 'webhook_endpoint.disabled':
      return 'webhook_disabled';
    case 'order.status_changed': {
      const { status } = event.newValue as { status: string };
      const now = status === 'cancelled' && event.actor === EXPIRY ? 'expired' : status;
      const told = wanted.find((one) => one === now);
      return told && `order_${told}`;
    }
    default:
      return undefined;
  }
}
