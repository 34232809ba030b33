import { Injectable } from '@nestjs/common';
import sql, { raw, type Sql } from 'sql-template-tag';
import { AuditService } from '../../audit/audit.service';
import { estimateRows } from '../../platform/database/estimate';
import { columnsOf, queryRows, where } from '../../platform/database/fragments';
import { together } from '../../platform/database/together';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { NotFound } from '../../platform/errors/domain-errors';
import { Answer } from '../../platform/http/answer';
import { Keyset } from '../../platform/http/cursor';
import type { Page } from '../../platform/http/page';
import { momentOf } from '../../platform/http/validators';
import { IdempotencyService } from '../../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import {
  type RecoverBody,
  type RecoverResponse,
  toWebhookAttemptResponse,
  toWebhookDeliveryResponse,
  type WebhookDeliveriesQuery,
  type WebhookDeliveryDetailResponse,
  type WebhookDeliveryResponse,
  type WebhookTestResponse,
} from './webhook-deliveries.dto';
import { WebhookAttempt, WebhookDelivery } from './webhook-delivery.entity';
import { WebhookEndpoint } from './webhook-endpoint.entity';
import { TEST_TYPE } from './webhook-fan-out';

const COLUMNS = columnsOf(WebhookDelivery);
const AGAIN = raw(
  `state = 'pending', failures = 0, next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()`,
);

@Injectable()
export class WebhookDeliveriesService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly idempotency: IdempotencyService,
    private readonly audit: AuditService,
  ) {}

  /** Newest first. @throws InvalidCursor */
  async list({ limit, cursor, count, ...filters }: WebhookDeliveriesQuery): Promise<Page<WebhookDeliveryResponse>> {
    const keyset = new Keyset('webhook-deliveries', filters, 'id');
    const after = keyset.positionOf(cursor);
    const conditions = conditionsOf(filters);
    const all = [...conditions, ...(after ? [sql`id < ${after.id}`] : [])];
    const page = sql`SELECT ${COLUMNS} FROM webhook_deliveries ${where(all)} ORDER BY id DESC LIMIT ${limit + 1}`;
    const [rows, estimate] = await this.transactions.read((manager) =>
      together([
        queryRows<WebhookDelivery>(manager, page),
        count && estimateRows(manager, sql`SELECT FROM webhook_deliveries ${where(conditions)}`),
      ]),
    );
    const found = keyset.page(rows, limit, ({ id }) => ({ value: id, id }), toWebhookDeliveryResponse);
    return found.withEstimate(estimate, cursor);
  }

  /** @throws NotFound */
  async get(id: string): Promise<WebhookDeliveryDetailResponse> {
    const [delivery, attempts] = await this.transactions.read(async (manager) => [
      await manager.findOneBy(WebhookDelivery, { id }),
      await manager.find(WebhookAttempt, { where: { deliveryId: id }, order: { number: 'ASC' } }),
    ]);
    if (!delivery) {
      throw new NotFound('webhook delivery', id);
    }
    return { ...toWebhookDeliveryResponse(delivery), attempts: attempts.map(toWebhookAttemptResponse) };
  }

  /** Delivers it at once and, if it fails, again as from the start; also if it was delivered. @throws NotFound */
  async retry(id: string, request: IdempotentRequest): Promise<Answer<WebhookDeliveryResponse>> {
    return this.idempotency.run(request, async ({ tx }) => {
      await tx.query(...statement(sql`UPDATE webhook_deliveries SET ${AGAIN} WHERE id = ${id}`));
      const delivery = await tx.findOneBy(WebhookDelivery, { id });
      if (!delivery) {
        throw new NotFound('webhook delivery', id);
      }
      return new Answer(toWebhookDeliveryResponse(delivery));
    });
  }

  /** Delivers what an endpoint was to get since then and was given up, or what it missed while disabled. @throws NotFound */
  async recover(id: string, { since }: RecoverBody, request: IdempotentRequest): Promise<Answer<RecoverResponse>> {
    return this.idempotency.run(request, async ({ tx }) => {
      await findEndpoint(tx, id);
      const given = sql`endpoint_id = ${id} AND state = 'dead' AND event_at >= ${momentOf(since)!.at} AND type <> ${TEST_TYPE}`;
      const [, deliveries] = await tx.query<[unknown[], number]>(
        ...statement(sql`UPDATE webhook_deliveries SET ${AGAIN} WHERE ${given}`),
      );
      return new Answer({ deliveries });
    });
  }

  /** Makes an event that goes to this endpoint alone, also if it is disabled, and once. @throws NotFound */
  async test(id: string, request: IdempotentRequest): Promise<Answer<WebhookTestResponse>> {
    return this.idempotency.run(request, async (unit) => {
      const { url } = await findEndpoint(unit.tx, id);
      const [eventId] = this.audit.record(unit, { action: TEST_TYPE, objectId: id, newValue: { url } });
      return new Answer({ event_id: eventId! });
    });
  }
}

type Filters = Omit<WebhookDeliveriesQuery, 'limit' | 'cursor' | 'count'>;

function conditionsOf({ endpoint_id, state, event_id }: Filters): Sql[] {
  return [
    ...(endpoint_id === undefined ? [] : [sql`endpoint_id = ${endpoint_id}`]),
    ...(state === undefined ? [] : [sql`state = ${state}`]),
    ...(event_id === undefined ? [] : [sql`event_id = ${event_id}`]),
  ];
}

async function findEndpoint(tx: Tx, id: string): Promise<WebhookEndpoint> {
  const endpoint = await tx.findOneBy(WebhookEndpoint, { id });
  if (!endpoint) {
    throw new NotFound('webhook endpoint', id);
  }
  return endpoint;
}

function statement({ text, values }: Sql): [string, unknown[]] {
  return [text, values];
}
