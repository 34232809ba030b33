import { Injectable } from '@nestjs/common';
import { Counter } from 'prom-client';
import { AuditService } from '../../audit/audit.service';
import { databaseNow } from '../../platform/database/clock';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { log } from '../../platform/logging/logger';
import { Metrics } from '../../platform/metrics/metrics';
import type { WebhookReply } from './webhook-client';
import { WebhookAttempt } from './webhook-delivery.entity';
import type { ClaimedDelivery } from './webhook-delivery.locks';
import { WebhookEndpoint } from './webhook-endpoint.entity';
import { lockEndpoint } from './webhook-endpoint.locks';
import { TEST_TYPE } from './webhook-fan-out';
import {
  afterFailure,
  FAILURES_TO_BREAK,
  isGone,
  isHopeless,
  isSuccess,
  pauseWanted,
  type Verdict,
  verdictOn,
} from './webhook-policy';

const OUTCOMES = ['delivered', 'failed', 'dead'];

/** Nothing if the delivery was taken by another process meanwhile, or is to be delivered again from the start. */
const WRITE = `
  UPDATE webhook_deliveries
  SET state = $3, failures = $4, next_attempt_at = clock_timestamp() + $5 * interval '1 millisecond', last_status = $6,
    last_error = $7, updated_at = clock_timestamp()
  WHERE id = $1 AND attempts = $2 AND state = 'pending'`;

/** A success ends the pause that failures have caused, but not one that the receiver asked for. */
const RECOVER = `
  UPDATE webhook_endpoints
  SET failures = 0, failing_since = NULL,
    paused_until = CASE WHEN failures >= ${FAILURES_TO_BREAK} THEN NULL ELSE paused_until END
  WHERE id = $1 AND failures > 0`;

/** Writes down what came of attempts, and what follows for the delivery and for its endpoint. */
@Injectable()
export class WebhookOutcomes {
  private readonly outcomes: Counter;

  constructor(
    private readonly transactions: TransactionRunner,
    private readonly audit: AuditService,
    { registry }: Metrics,
  ) {
    this.outcomes = new Counter({
      name: 'holdfast_webhook_attempts_total',
      help: `Attempts to deliver an event to an endpoint: ${OUTCOMES.join(', ')} (failed for the last time).`,
      labelNames: ['outcome'],
      registers: [registry],
    });
    OUTCOMES.forEach((outcome) => this.outcomes.inc({ outcome }, 0));
  }

  async write(delivery: ClaimedDelivery, reply: WebhookReply): Promise<void> {
    const { id, attempts, claimedAt } = delivery;
    const { status, error, responseHead, durationMs } = reply;
    const hasSucceeded = isSuccess(status);
    const failures = delivery.failures + (hasSucceeded ? 0 : 1);
    const pauseMs = pauseWanted(status, reply.retryAfter, claimedAt);
    const isOnlyOnce = delivery.type === TEST_TYPE || !delivery.event;
    const verdict = !hasSucceeded && isOnlyOnce ? 'dead' : verdictOn({ status, failures, pauseMs });
    const [state, waitMs] = typeof verdict === 'string' ? [verdict, 0] : ['pending', verdict.retryAfterMs];
    await this.transactions.run(async (unit) => {
      if (hasSucceeded) {
        await unit.tx.query(RECOVER, [delivery.endpointId]);
      } else if (delivery.event) {
        await this.noteFailure(unit, delivery, { status, pauseMs });
      }
      unit.execute(WRITE, [id, attempts, state, failures, waitMs, status, error]);
      const attempt = { deliveryId: id, number: attempts, at: claimedAt, status, durationMs, error, responseHead };
      unit.insert(WebhookAttempt, [attempt]);
      unit.afterCommit(() => this.outcomes.inc({ outcome: outcomeOf(verdict) }));
    });
  }

  /** A test that fails says nothing of the endpoint, except that it is gone. Locks the endpoint. */
  private async noteFailure(
    unit: UnitOfWork,
    { endpointId, type }: ClaimedDelivery,
    { status, pauseMs }: { readonly status: number | null; readonly pauseMs: number },
  ): Promise<void> {
    const endpoint = await lockEndpoint(unit.tx, endpointId);
    if (!endpoint || (type === TEST_TYPE && !isGone(status))) {
      return;
    }
    const now = await databaseNow(unit.tx);
    const trouble = afterFailure(endpoint, pauseMs, now);
    await unit.tx.update(WebhookEndpoint, { id: endpointId }, trouble);
    if (endpoint.state === 'enabled' && (isGone(status) || isHopeless(trouble, now))) {
      const reason = isGone(status) ? 'gone' : 'failing';
      await this.disable(unit, endpoint, { reason, failingSince: trouble.failingSince });
    }
  }

  private async disable(
    unit: UnitOfWork,
    { id, url, version }: WebhookEndpoint,
    { reason, failingSince }: { readonly reason: 'gone' | 'failing'; readonly failingSince: Date },
  ): Promise<void> {
    await unit.tx.update(
      WebhookEndpoint,
      { id },
      { state: 'disabled', disabledReason: reason, version: version + 1, updatedAt: () => 'clock_timestamp()' },
    );
    const newValue = { url, reason, failing_since: failingSince.toISOString() };
    this.audit.record(unit, { action: 'webhook_endpoint.disabled', objectId: id, newValue });
    unit.afterCommit(() => log.warn({ endpoint: id, reason }, 'a webhook endpoint was disabled'));
  }
}

function outcomeOf(verdict: Verdict): string {
  return typeof verdict === 'string' ? verdict : 'failed';
}
