import { Injectable } from '@nestjs/common';
import sql from 'sql-template-tag';
import { AuditService } from '../../audit/audit.service';
import { estimateRows } from '../../platform/database/estimate';
import { together } from '../../platform/database/together';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { NotFound } from '../../platform/errors/domain-errors';
import { Answer } from '../../platform/http/answer';
import { Keyset } from '../../platform/http/cursor';
import { assertVersion } from '../../platform/http/if-match';
import type { Page, PageQuery } from '../../platform/http/page';
import { changesIn } from '../../platform/http/patch';
import { WebhookClient } from './webhook-client';
import { WebhookEndpoint } from './webhook-endpoint.entity';
import { lockEndpoint } from './webhook-endpoint.locks';
import {
  toWebhookEndpointResponse,
  toWebhookEndpointSnapshot,
  type UpdateWebhookEndpointBody,
  type WebhookEndpointResponse,
} from './webhook-endpoints.dto';
import { WebhookFanOut } from './webhook-fan-out';

const ALL = sql`SELECT FROM webhook_endpoints`;
const GIVE_UP = `
  UPDATE webhook_deliveries
  SET state = 'dead', last_error = 'The endpoint was deleted', updated_at = clock_timestamp()
  WHERE endpoint_id = $1 AND state = 'pending'`;

@Injectable()
export class WebhookEndpointsService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly audit: AuditService,
    private readonly fanOut: WebhookFanOut,
    private readonly client: WebhookClient,
  ) {}

  /** Newest first. @throws InvalidCursor */
  async list({ limit, cursor, count }: PageQuery): Promise<Page<WebhookEndpointResponse>> {
    const keyset = new Keyset('webhook-endpoints', {}, 'id');
    const after = keyset.positionOf(cursor);
    const [rows, estimate] = await this.transactions.read((manager) => {
      const query = manager.createQueryBuilder(WebhookEndpoint, 'endpoint').orderBy('endpoint.id', 'DESC');
      if (after) {
        query.where('endpoint.id < :id', after);
      }
      return together([query.limit(limit + 1).getMany(), count && estimateRows(manager, ALL)]);
    });
    const page = keyset.page(rows, limit, ({ id }) => ({ value: id, id }), toWebhookEndpointResponse);
    return page.withEstimate(estimate, cursor);
  }

  /** @throws NotFound */
  async get(id: string): Promise<Answer<WebhookEndpointResponse>> {
    const endpoint = await this.transactions.read((manager) => manager.findOneBy(WebhookEndpoint, { id }));
    if (!endpoint) {
      throw new NotFound('webhook endpoint', id);
    }
    return answerOf(endpoint);
  }

  /**
   * Changes what is given and nothing else. Events that are committed later go to the endpoint as it is then. Locks the
   * endpoint. @throws NotFound, VersionMismatch, ValidationFailed for an address that nothing is sent to
   */
  async update(
    id: string,
    body: UpdateWebhookEndpointBody,
    ifMatch: string | undefined,
  ): Promise<Answer<WebhookEndpointResponse>> {
    const { url, types, description, ordering, state } = body;
    const changes = changesIn({ url, types, description, ordering, state });
    this.client.assertAllowed(url);
    return this.transactions.run(async (unit) => {
      const { tx } = unit;
      const before = await lockEndpoint(tx, id);
      if (!before) {
        throw new NotFound('webhook endpoint', id);
      }
      assertVersion(ifMatch, before.version);
      await this.fanOut.hold(tx);
      const values = { ...changes, ...consequencesOf(body, before), version: before.version + 1 };
      await tx.update(WebhookEndpoint, { id }, { ...values, updatedAt: () => 'clock_timestamp()' });
      const after = await tx.findOneByOrFail(WebhookEndpoint, { id });
      this.audit.record(unit, {
        action: 'webhook_endpoint.updated',
        objectId: id,
        oldValue: toWebhookEndpointSnapshot(before),
        newValue: toWebhookEndpointSnapshot(after),
      });
      return answerOf(after);
    });
  }

  /** Its deliveries stay as a record; what was pending is given up. Locks the endpoint. @throws NotFound, VersionMismatch */
  async remove(id: string, ifMatch: string | undefined): Promise<Answer<WebhookEndpointResponse>> {
    return this.transactions.run(async (unit) => {
      const endpoint = await lockEndpoint(unit.tx, id);
      if (!endpoint) {
        throw new NotFound('webhook endpoint', id);
      }
      assertVersion(ifMatch, endpoint.version);
      await this.fanOut.hold(unit.tx);
      await unit.tx.delete(WebhookEndpoint, { id });
      unit.execute(GIVE_UP, [id]);
      const oldValue = toWebhookEndpointSnapshot(endpoint);
      this.audit.record(unit, { action: 'webhook_endpoint.deleted', objectId: id, oldValue, newValue: null });
      return new Answer(toWebhookEndpointResponse(endpoint));
    });
  }
}

/** Another address begins anew. The same one, enabled again, gets one request a minute until one succeeds. */
function consequencesOf({ url, state }: UpdateWebhookEndpointBody, before: WebhookEndpoint): Partial<WebhookEndpoint> {
  const isElsewhere = url !== undefined && url !== before.url;
  const isEnabled = state === 'enabled' && before.state === 'disabled';
  return {
    ...(isElsewhere && { failures: 0 }),
    ...((isElsewhere || isEnabled) && { failingSince: null, pausedUntil: null }),
    ...(isEnabled && { disabledReason: null }),
    ...(state === 'disabled' && before.state === 'enabled' && { disabledReason: 'by_administrator' as const }),
  };
}

function answerOf(endpoint: WebhookEndpoint): Answer<WebhookEndpointResponse> {
  return new Answer(toWebhookEndpointResponse(endpoint), { version: endpoint.version });
}
