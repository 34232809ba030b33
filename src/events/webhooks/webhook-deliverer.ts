import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import pLimit from 'p-limit';
import { RequestContext } from '../../platform/context/request-context';
import { databaseNow } from '../../platform/database/clock';
import { prepared } from '../../platform/database/prepared';
import { together } from '../../platform/database/together';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { log } from '../../platform/logging/logger';
import { EventJobs } from '../event-jobs';
import { claimDeliveries } from './webhook-delivery.locks';
import type { WebhookEndpoint } from './webhook-endpoint.entity';
import { lockIdleEndpoints } from './webhook-endpoint.locks';
import { WebhookOutcomes } from './webhook-outcomes';
import { BROKEN_PAUSE_MS, FAILURES_TO_BREAK } from './webhook-policy';
import { type Claim, WebhookSender } from './webhook-sender';

const PAUSE_MS = 200;
/** For each endpoint, in this process. */
const MOST_IN_FLIGHT = 10;
/** In one claim, drawn by lot if there are more. */
const MOST_ENDPOINTS = 50;
/** So that the many outcomes of a busy time leave most connections to requests. */
const WRITERS = 2;
/** How long the process waits for attempts before it breaks them off, when it stops. */
const LAST_ATTEMPTS_MS = 3_000;

/** The endpoints that something can be sent to now, except for $1. */
const FIND_READY = `
  SELECT id FROM webhook_endpoints AS endpoint
  WHERE id <> ALL ($1::uuid[]) AND (
    (endpoint.state = 'enabled' AND (paused_until IS NULL OR paused_until <= statement_timestamp()) AND EXISTS (
      SELECT FROM webhook_deliveries AS one
      WHERE one.endpoint_id = endpoint.id AND one.state = 'pending' AND next_attempt_at <= statement_timestamp()))
    OR EXISTS (
      SELECT FROM webhook_deliveries AS one
      WHERE one.endpoint_id = endpoint.id AND one.state = 'pending' AND type = 'webhook.test'
        AND next_attempt_at <= statement_timestamp()))
  ORDER BY random() LIMIT ${MOST_ENDPOINTS}`;

const PAUSE = `
  UPDATE webhook_endpoints SET paused_until = statement_timestamp() + $2 * interval '1 millisecond' WHERE id = ANY ($1)`;

/**
 * Sends events to endpoints. Never in a transaction: a delivery is taken for a minute, sent, and its outcome written. If the
 * process is killed in between, it is sent again, with the same `webhook-id`.
 */
@Injectable()
export class WebhookDeliverer implements OnModuleDestroy {
  /**
   * An endpoint for which all that is due waits for something earlier is left alone for so many times as long as it took to
   * see that, or until an attempt of it ends here: with 100,000 waiting deliveries, that look takes half a second.
   */
  restFactor = 20;
  private readonly inFlight = new Map<string, number>();
  /** Until when endpoints are left alone, by `performance.now()`. */
  private readonly resting = new Map<string, number>();
  private readonly sending = new Set<Promise<void>>();
  private readonly writing = pLimit(WRITERS);
  private isStopping = false;

  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly sender: WebhookSender,
    private readonly outcomes: WebhookOutcomes,
    jobs: EventJobs,
  ) {
    jobs.add('webhook-delivery', PAUSE_MS, () => this.run());
  }

  /**
   * Begins to send what is due, and waits for no answer, so that an endpoint that hangs holds up no other.
   * @returns whether there may be more at once
   */
  async run(): Promise<boolean> {
    const startedAt = performance.now();
    const full = [...this.inFlight].filter(([, count]) => count >= MOST_IN_FLIGHT);
    const resting = [...this.resting].filter(([, until]) => until > startedAt);
    const busy = [...full, ...resting].map(([id]) => id);
    const ready = await this.transactions.read((manager) =>
      manager.query<{ id: string }[]>(prepared(FIND_READY), [busy]),
    );
    if (ready.length === 0) {
      return false;
    }
    const ids = ready.map(({ id }) => id);
    const claims = await this.transactions.run(({ tx }) => this.claim(tx, ids));
    const now = performance.now();
    ids.forEach((id) => this.resting.set(id, now + this.restFactor * (now - startedAt)));
    claims.forEach((claim) => this.begin(claim));
    return claims.length > 0;
  }

  /** Resolves when nothing is being sent any more. */
  async idle(): Promise<void> {
    while (this.sending.size > 0) {
      await Promise.all(this.sending);
    }
  }

  async onModuleDestroy(): Promise<void> {
    this.isStopping = true;
    const timer = setTimeout(() => this.sender.stop(), LAST_ATTEMPTS_MS);
    await this.idle();
    clearTimeout(timer);
  }

  private async claim(tx: Tx, ids: readonly string[]): Promise<Claim[]> {
    const [endpoints, now] = await together([lockIdleEndpoints(tx, ids), databaseNow(tx)]);
    const deliveries = await claimDeliveries(
      tx,
      endpoints.map((endpoint) => ({
        endpointId: endpoint.id,
        count: isBroken(endpoint) ? 1 : MOST_IN_FLIGHT - (this.inFlight.get(endpoint.id) ?? 0),
        isOpen: endpoint.state === 'enabled' && !(endpoint.pausedUntil && endpoint.pausedUntil > now),
        inOrder: endpoint.ordering === 'object',
      })),
    );
    const byId = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]));
    const claims = deliveries.map((delivery) => {
      const endpoint = byId.get(delivery.endpointId)!;
      const { previousSecretUntil } = endpoint;
      return { delivery, endpoint, isRotating: previousSecretUntil !== null && previousSecretUntil > now };
    });
    const probed = claims.filter(({ endpoint }) => isBroken(endpoint)).map(({ endpoint }) => endpoint.id);
    if (probed.length > 0) {
      await tx.query(PAUSE, [probed, BROKEN_PAUSE_MS]);
    }
    return claims;
  }

  private begin(claim: Claim): void {
    const { id } = claim.endpoint;
    this.inFlight.set(id, (this.inFlight.get(id) ?? 0) + 1);
    this.resting.delete(id);
    const sending = this.context
      .runAsSystem('webhook-delivery', () => this.attempt(claim))
      .catch((error: unknown) => {
        log.error({ err: error, endpoint: id }, 'what came of a webhook was not written; it is sent again in a minute');
      })
      .finally(() => {
        this.sending.delete(sending);
        this.resting.delete(id);
        const left = this.inFlight.get(id)! - 1;
        if (left > 0) {
          this.inFlight.set(id, left);
        } else {
          this.inFlight.delete(id);
        }
      });
    this.sending.add(sending);
  }

  private async attempt(claim: Claim): Promise<void> {
    const reply = await this.sender.send(claim);
    // Broken off by ourselves: that is no failure, and another process will do it.
    if (!(this.isStopping && reply.status === null)) {
      await this.writing(() => this.outcomes.write(claim.delivery, reply));
    }
  }
}

function isBroken({ failures }: WebhookEndpoint): boolean {
  return failures >= FAILURES_TO_BREAK;
}
