import { Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The outcomes of reservations. All are exported from the start, so that rates over them are correct. */
const OUTCOMES = ['created', 'short', 'committed', 'cancelled', 'expired'];

const SHORT_TIMES = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Everything that `/metrics` shows. Durations are in seconds. */
@Injectable()
export class Metrics {
  readonly registry = new Registry();

  readonly httpRequestDuration = new Histogram({
    name: 'holdfast_http_request_duration_seconds',
    help: 'Time from the head of a request to the end of its answer; code is that of the problem, empty for a success.',
    labelNames: ['method', 'route', 'status', 'code'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  });

  readonly reservations = new Counter({
    name: 'holdfast_reservations_total',
    help: `Reservations by what became of them: ${OUTCOMES.join(', ')}.`,
    labelNames: ['outcome'],
    registers: [this.registry],
  });

  readonly sweepSize = new Histogram({
    name: 'holdfast_sweep_expired_reservations',
    help: 'Overdue reservations that one run of the sweep expired.',
    buckets: [0, 1, 10, 100, 1000, 10_000],
    registers: [this.registry],
  });

  readonly sweepLag = new Gauge({
    name: 'holdfast_sweep_lag_seconds',
    help: 'How long the oldest reservation of the last sweep had been overdue.',
    registers: [this.registry],
  });

  readonly transactionRetries = new Counter({
    name: 'holdfast_transaction_retries_total',
    help: 'Transactions that were started again after a deadlock, a serialization failure or a stale read.',
    registers: [this.registry],
  });

  readonly batchSize = new Histogram({
    name: 'holdfast_batch_requests',
    help: 'Requests that one batch decided together.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128],
    registers: [this.registry],
  });

  readonly batchDuration = new Histogram({
    name: 'holdfast_batch_duration_seconds',
    help: 'Time from the start of a batch to its last answer.',
    buckets: SHORT_TIMES,
    registers: [this.registry],
  });

  readonly queueWait = new Histogram({
    name: 'holdfast_queue_wait_seconds',
    help: 'Time that a request waited for its batch to start.',
    buckets: SHORT_TIMES,
    registers: [this.registry],
  });

  readonly lockWait = new Histogram({
    name: 'holdfast_batch_lock_wait_seconds',
    help: 'Time that a batch of holds took to lock its idempotency keys and stock levels.',
    buckets: SHORT_TIMES,
    registers: [this.registry],
  });

  readonly overloadRefusals = new Counter({
    name: 'holdfast_overload_refusals_total',
    help: 'Requests refused because too many were waiting, or because they had waited too long.',
    registers: [this.registry],
  });

  private readonly queues: (() => number)[] = [];

  constructor() {
    this.showQueues();
    collectDefaultMetrics({ register: this.registry });
    OUTCOMES.forEach((outcome) => this.reservations.inc({ outcome }, 0));
  }

  /** Adds a queue to the gauge of waiting requests; `length` is called when the metrics are read. */
  watchQueue(length: () => number): void {
    this.queues.push(length);
  }

  /** Exports the use of a connection pool; `use` is called when the metrics are read. */
  watchPool(use: () => Record<'total' | 'idle' | 'waiting', number>): void {
    new Gauge({
      name: 'holdfast_database_pool_connections',
      help: 'Connections of the pool: total and idle; and how many requests are waiting for one.',
      labelNames: ['state'],
      registers: [this.registry],
      collect() {
        Object.entries(use()).forEach(([state, count]) => this.set({ state }, count));
      },
    });
  }

  private showQueues(): void {
    const { queues } = this;
    new Gauge({
      name: 'holdfast_queue_requests',
      help: 'Requests that wait for their batch, or for their turn to read all that there is.',
      registers: [this.registry],
      collect() {
        this.set(queues.reduce((sum, length) => sum + length(), 0));
      },
    });
  }
}
