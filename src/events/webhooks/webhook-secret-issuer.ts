import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { AuditService } from '../../audit/audit.service';
import { databaseNow } from '../../platform/database/clock';
import { NotFound } from '../../platform/errors/domain-errors';
import { Answer } from '../../platform/http/answer';
import { IdempotencyService } from '../../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { PUBLISHED_TYPES } from '../feed/event-types';
import { WebhookClient } from './webhook-client';
import { WebhookEndpoint } from './webhook-endpoint.entity';
import { lockEndpoint } from './webhook-endpoint.locks';
import {
  type CreateWebhookEndpointBody,
  toWebhookEndpointResponse,
  toWebhookEndpointSnapshot,
  type WebhookEndpointWithSecretResponse,
} from './webhook-endpoints.dto';
import { WebhookFanOut } from './webhook-fan-out';
import { WebhookSecrets } from './webhook-secrets';

/** How long the secret before signs too. */
const ROTATION_MS = 24 * 60 * 60 * 1000;

/** Where secrets come from. The answer that is stored for an idempotency key has them encrypted too. */
@Injectable()
export class WebhookSecretIssuer {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly audit: AuditService,
    private readonly fanOut: WebhookFanOut,
    private readonly client: WebhookClient,
    private readonly secrets: WebhookSecrets,
  ) {}

  /** Makes an endpoint, which gets all events that are committed later. @throws ValidationFailed for an address that nothing is sent to */
  async create(
    body: CreateWebhookEndpointBody,
    request: IdempotentRequest,
  ): Promise<Answer<WebhookEndpointWithSecretResponse>> {
    const { url, types = [...PUBLISHED_TYPES], description = null, ordering = 'none' } = body;
    this.client.assertAllowed(url);
    const answer = await this.idempotency.run(request, async (unit) => {
      const { tx } = unit;
      const id = uuidv7();
      const secret = this.secrets.encrypt(this.secrets.make(), id);
      await this.fanOut.hold(tx);
      await tx.insert(WebhookEndpoint, { id, url, types, description, ordering, secret });
      const endpoint = await tx.findOneByOrFail(WebhookEndpoint, { id });
      this.audit.record(unit, {
        action: 'webhook_endpoint.created',
        objectId: id,
        newValue: toWebhookEndpointSnapshot(endpoint),
      });
      return new Answer(withStoredSecret(endpoint), { location: `/api/webhook-endpoints/${id}`, version: 1 });
    });
    return this.decrypted(answer);
  }

  /** Gives an endpoint a new secret; the one before signs too for a day. Locks the endpoint. @throws NotFound */
  async rotate(id: string, request: IdempotentRequest): Promise<Answer<WebhookEndpointWithSecretResponse>> {
    const answer = await this.idempotency.run(request, async (unit) => {
      const { tx } = unit;
      const before = await lockEndpoint(tx, id);
      if (!before) {
        throw new NotFound('webhook endpoint', id);
      }
      const previousSecretUntil = new Date((await databaseNow(tx)).getTime() + ROTATION_MS);
      const values = {
        ...{
          secret: this.secrets.encrypt(this.secrets.make(), id),
          previousSecret: before.secret,
          previousSecretUntil,
        },
        version: before.version + 1,
      };
      await tx.update(WebhookEndpoint, { id }, { ...values, updatedAt: () => 'clock_timestamp()' });
      const endpoint = await tx.findOneByOrFail(WebhookEndpoint, { id });
      const newValue = { previous_secret_until: previousSecretUntil.toISOString() };
      this.audit.record(unit, { action: 'webhook_endpoint.secret_rotated', objectId: id, newValue });
      return new Answer(withStoredSecret(endpoint), { version: endpoint.version });
    });
    return this.decrypted(answer);
  }

  private decrypted({
    data,
    extras,
  }: Answer<WebhookEndpointWithSecretResponse>): Answer<WebhookEndpointWithSecretResponse> {
    return new Answer({ ...data, secret: this.secrets.decrypt(data.secret, data.id) }, extras);
  }
}

function withStoredSecret(endpoint: WebhookEndpoint): WebhookEndpointWithSecretResponse {
  return { ...toWebhookEndpointResponse(endpoint), secret: endpoint.secret };
}
