import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { prepared } from '../../platform/database/prepared';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { Metrics } from '../../platform/metrics/metrics';
import { EventJobs } from '../event-jobs';

const PAUSE_MS = 15_000;

const MEASURE = `
  SELECT
    (SELECT count(*) FROM webhook_endpoints WHERE state = 'disabled')::int AS disabled,
    (SELECT extract(epoch FROM statement_timestamp() - min(event_at)) FROM webhook_endpoints AS endpoint
      JOIN webhook_deliveries AS one ON one.endpoint_id = endpoint.id AND one.state = 'pending'
      WHERE endpoint.state = 'enabled')::float AS oldest`;

/** Shows in the metrics how webhooks stand. Measured now and then, so that reading the metrics asks no database. */
@Injectable()
export class WebhookMetrics {
  private readonly disabled: Gauge;
  private readonly oldest: Gauge;

  constructor(
    private readonly transactions: TransactionRunner,
    jobs: EventJobs,
    { registry }: Metrics,
  ) {
    const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers: [registry] });
    this.disabled = gauge('holdfast_webhook_endpoints_disabled', 'Webhook endpoints that nothing is sent to.');
    this.oldest = gauge(
      'holdfast_webhook_oldest_pending_seconds',
      'How long ago the oldest event happened that an enabled endpoint is still to get; 0 if there is none.',
    );
    jobs.add('webhook-metrics', PAUSE_MS, async () => {
      await this.measure();
      return false;
    });
  }

  async measure(): Promise<void> {
    const [measured] = await this.transactions.read((manager) =>
      manager.query<{ disabled: number; oldest: number | null }[]>(prepared(MEASURE)),
    );
    this.disabled.set(measured!.disabled);
    this.oldest.set(Math.max(0, measured!.oldest ?? 0));
  }
}
