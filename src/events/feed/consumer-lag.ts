import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import type { EntityManager } from 'typeorm';
import { prepared } from '../../platform/database/prepared';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { Metrics } from '../../platform/metrics/metrics';
import { EventJobs } from '../event-jobs';
import { EventConsumerPosition } from './event-consumer.entity';
import { positionOf } from './event-position';

const PAUSE_MS = 5_000;

/** The age of the first tick after $1, $2; or from it on, if $3. Nothing if there is none. */
const AGE = `
  SELECT extract(epoch FROM statement_timestamp() - at)::float AS age FROM event_ticks
  WHERE (era, id) >= ($1, $2) AND ($3 OR (era, id) > ($1, $2)) ORDER BY era, id LIMIT 1`;

/** Shows in the metrics how far consumers of the feed are behind. */
@Injectable()
export class ConsumerLag {
  private readonly lag: Gauge;

  constructor(
    private readonly transactions: TransactionRunner,
    jobs: EventJobs,
    { registry }: Metrics,
  ) {
    this.lag = new Gauge({
      name: 'holdfast_event_consumer_lag_seconds',
      help: 'How long the oldest events of the feed have waited that a consumer has not taken yet.',
      labelNames: ['consumer'],
      registers: [registry],
    });
    jobs.add('event-consumer-lag', PAUSE_MS, async () => {
      await this.measure();
      return false;
    });
  }

  async measure(): Promise<void> {
    await this.transactions.read(async (manager) => {
      for (const consumer of await manager.find(EventConsumerPosition)) {
        this.lag.set({ consumer: consumer.name }, await lagOf(manager, consumer));
      }
    });
  }
}

async function lagOf(manager: EntityManager, { cursor }: EventConsumerPosition): Promise<number> {
  const { era, tick, event } = positionOf(cursor);
  const isWithin = event !== undefined;
  const [next] = await manager.query<{ age: number }[]>(prepared(AGE), [era, tick, isWithin]);
  return Math.max(0, next?.age ?? 0);
}
