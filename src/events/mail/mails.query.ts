import type { EntityManager } from 'typeorm';
import { prepared } from '../../platform/database/prepared';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import type { MailedStock } from './templates/alert-letters';
import type { MailedOrder } from './templates/order-letters';
import type { Mail } from './mail.entity';
import type { ClaimedMail } from './mails.locks';

/** Whose user is not in our table, as with an identity provider, is not found. */
const ORDERS = `
  SELECT buyer.email, json_build_object('id', orders.id, 'total_amount', orders.total_amount::text, 'currency', orders.currency, 'items', (
      SELECT json_agg(item ORDER BY item.name) FROM (
        SELECT name, sum(quantity)::int AS quantity, sum(quantity * unit_price)::text AS line_total
        FROM order_items WHERE order_id = orders.id GROUP BY product_id, name
      ) AS item)) AS content
  FROM orders JOIN users AS buyer ON buyer.id = orders.user_id WHERE orders.id = ANY($1)`;

/** Orders as their mails show them, by id, with the addresses of those who ordered. */
export async function findMailedOrders(
  manager: EntityManager,
  ids: readonly string[],
): Promise<Map<string, { email: string; content: MailedOrder }>> {
  const rows = await manager.query<{ email: string; content: MailedOrder }[]>(ORDERS, [ids]);
  return new Map(rows.map((row) => [row.content.id, row]));
}

const PRODUCTS = 'SELECT id AS product_id, sku, name FROM products WHERE id = ANY($1)';

type NamedProduct = Pick<MailedStock, 'product_id' | 'sku' | 'name'>;

export async function findNamedProducts(
  manager: EntityManager,
  ids: readonly string[],
): Promise<Map<string, NamedProduct>> {
  const rows = await manager.query<NamedProduct[]>(PRODUCTS, [ids]);
  return new Map(rows.map((row) => [row.product_id, row]));
}

const QUEUE = `
  INSERT INTO mails (event_id, recipient, kind, content)
  SELECT event_id, recipient, kind, content FROM json_populate_recordset(NULL::mails, $1) ON CONFLICT DO NOTHING`;

export type QueuedMail = Pick<Mail, 'eventId' | 'recipient' | 'kind' | 'content'>;

/** Queues mails; those that are queued already stay as they are. */
export function queueMails(unit: UnitOfWork, mails: readonly QueuedMail[]): void {
  if (mails.length > 0) {
    unit.execute(prepared(QUEUE), [
      JSON.stringify(mails.map(({ eventId, ...mail }) => ({ event_id: eventId, ...mail }))),
    ]);
  }
}

export interface MailBacklog {
  readonly isAnyDue: boolean;
  /** How long the oldest pending mail has waited; 0 if there is none. */
  readonly oldestSeconds: number;
}

const BACKLOG = `
  SELECT EXISTS (SELECT FROM mails WHERE state = 'pending' AND next_attempt_at <= statement_timestamp()) AS "isAnyDue",
    coalesce(extract(epoch FROM statement_timestamp() - (
      SELECT created_at FROM mails WHERE state = 'pending' ORDER BY created_at LIMIT 1)), 0)::float8 AS "oldestSeconds"`;

export async function findBacklog(manager: EntityManager): Promise<MailBacklog> {
  const [backlog] = await manager.query<MailBacklog[]>(prepared(BACKLOG));
  return backlog!;
}

export function writeSent(unit: UnitOfWork, { eventId, recipient }: ClaimedMail): void {
  unit.execute(`UPDATE mails SET state = 'sent', last_error = NULL WHERE event_id = $1 AND recipient = $2`, [
    eventId,
    recipient,
  ]);
}

/** Nothing if another process has taken it meanwhile. */
const FAILED = `
  UPDATE mails SET state = $5, last_error = $4, next_attempt_at = clock_timestamp() + $6 * interval '1 second'
  WHERE event_id = $1 AND recipient = $2 AND attempts = $3 AND state = 'pending'`;

/** @param waitSeconds until the next attempt; undefined: it is given up */
export function writeFailed(
  unit: UnitOfWork,
  { eventId, recipient, attempts }: ClaimedMail,
  error: string,
  waitSeconds: number | undefined,
): void {
  const state = waitSeconds === undefined ? 'failed' : 'pending';
  unit.execute(FAILED, [eventId, recipient, attempts, error, state, waitSeconds ?? 0]);
}
