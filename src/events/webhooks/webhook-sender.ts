import type { OutgoingHttpHeaders } from 'node:http';
import { Injectable } from '@nestjs/common';
import { Webhook } from 'standardwebhooks';
import { toEventResponse } from '../feed/events.dto';
import { WebhookClient, type WebhookReply } from './webhook-client';
import type { ClaimedDelivery } from './webhook-delivery.locks';
import type { WebhookEndpoint } from './webhook-endpoint.entity';
import { WebhookSecrets } from './webhook-secrets';

/** A delivery that this process is to attempt now, and where it goes. */
export interface Claim {
  readonly delivery: ClaimedDelivery;
  readonly endpoint: WebhookEndpoint;
  /** Whether its previous secret signs too. */
  readonly isRotating: boolean;
}

interface Message {
  readonly body: string;
  readonly headers: OutgoingHttpHeaders;
}

/** Sends events as Standard Webhooks says. */
@Injectable()
export class WebhookSender {
  constructor(
    private readonly client: WebhookClient,
    private readonly secrets: WebhookSecrets,
  ) {}

  /** Sends an event once. Failures, also our own, are part of the reply. */
  async send(claim: Claim): Promise<WebhookReply> {
    const { url } = claim.endpoint;
    const refusal = this.client.refusalOf(url);
    if (refusal !== undefined) {
      return failed(`The address ${refusal}`);
    }
    let message: Message;
    try {
      message = this.messageOf(claim);
    } catch (error) {
      return failed((error as Error).message);
    }
    return this.client.post(url, message.headers, message.body);
  }

  /** Breaks off what is under way. */
  stop(): void {
    this.client.stop();
  }

  private messageOf({ delivery: { event, claimedAt }, endpoint, isRotating }: Claim): Message {
    if (!event) {
      throw new Error('The event is no longer kept');
    }
    const body = JSON.stringify(toEventResponse(event));
    const stored = [endpoint.secret, ...(isRotating ? [endpoint.previousSecret!] : [])];
    const signatures = stored.map((secret) =>
      new Webhook(this.secrets.decrypt(secret, endpoint.id)).sign(event.id, claimedAt, body),
    );
    const headers = {
      'Content-Type': 'application/json',
      'User-Agent': 'Holdfast',
      'webhook-id': event.id,
      'webhook-timestamp': String(Math.floor(claimedAt.getTime() / 1000)),
      'webhook-signature': signatures.join(' '),
    };
    return { body, headers };
  }
}

function failed(error: string): WebhookReply {
  return { status: null, error, responseHead: null, durationMs: 0 };
}
