import { Injectable } from '@nestjs/common';
import { AppConfig } from '../config/app-config';
import type { Cause } from '../context/request-context';
import type { LockWait } from '../database/rows.locks';
import { TransactionRunner } from '../database/transaction-runner';
import type { Answer } from '../http/answer';
import { IdempotencyService } from '../idempotency/idempotency.service';
import type { IdempotentRequest } from '../idempotency/idempotent-request';
import { Metrics } from '../metrics/metrics';
import { BatchQueue } from './batch-queue';
import type { Command, Model, Prepare } from './command';
import { type AnswerOutcome, type CommandJob, CommandRunner } from './command-runner';
import { inParts } from './in-parts';

/** The HTTP request behind a command: with its idempotency key, or only with whether its caller has hung up. */
export type Origin = IdempotentRequest | Pick<IdempotentRequest, 'isAbandoned'>;

/** Creates the command queues of a process. */
@Injectable()
export class CommandQueues {
  constructor(
    private readonly config: AppConfig,
    private readonly metrics: Metrics,
    private readonly transactions: TransactionRunner,
    private readonly idempotency: IdempotencyService,
  ) {}

  for<Needs, Snapshot>(model: Model<Needs, Snapshot>, prepare: Prepare): CommandQueue<Needs, Snapshot> {
    const runner = new CommandRunner(model, prepare, this.transactions, this.idempotency, this.metrics);
    const queue = new BatchQueue<CommandJob<Needs, Snapshot>, Answer<object>>(
      (jobs, lockWait) => runner.run(jobs, lockWait),
      this.config.reservationQueueLimit,
      this.metrics,
    );
    this.metrics.watchQueue(() => queue.length);
    return new CommandQueue(queue, runner, this.idempotency);
  }
}

/** Where commands on the same kind of rows wait for their batch. */
export class CommandQueue<Needs, Snapshot> {
  constructor(
    private readonly queue: BatchQueue<CommandJob<Needs, Snapshot>, Answer<object>>,
    private readonly runner: CommandRunner<Needs, Snapshot>,
    private readonly idempotency: IdempotencyService,
  ) {}

  /**
   * Queues a request for the next batch. If its caller hangs up before its turn, it is dropped.
   * @throws Overloaded if too many wait, or if it has waited too long; the errors of the command
   */
  submit<Request>(
    command: Command<Request, Needs, Snapshot>,
    request: Request,
    { cause, from }: { readonly cause: Cause; readonly from: Origin },
  ): Promise<Answer<object>> {
    const keyed = 'key' in from ? this.idempotency.keyed(from) : undefined;
    return this.queue.submit({ ...jobOf(command, request), cause, keyed, isAbandoned: from.isAbandoned });
  }

  /** Runs requests at once, without the queue, and returns the outcome of each. */
  async runNow<Request>(
    command: Command<Request, Needs, Snapshot>,
    requests: readonly Request[],
    { cause, lockWait }: { readonly cause: Cause; readonly lockWait: LockWait },
  ): Promise<AnswerOutcome[]> {
    const outcomes = new Map<CommandJob<Needs, Snapshot>, AnswerOutcome>();
    const isAbandoned = (): boolean => false;
    const jobs = requests.map((request) => ({ ...jobOf(command, request), cause, keyed: undefined, isAbandoned }));
    await inParts<CommandJob<Needs, Snapshot>, Answer<object>>(
      jobs,
      { lockWait },
      {
        work: (part, wait) => this.runner.run(part, wait),
        canStillRun: () => true,
        answer: (done, results) => done.forEach((job, index) => outcomes.set(job, results[index]!)),
      },
    );
    return jobs.map((job) => outcomes.get(job)!);
  }
}

function jobOf<Request, Needs, Snapshot>(
  command: Command<Request, Needs, Snapshot>,
  request: Request,
): Pick<CommandJob<Needs, Snapshot>, 'orderingKeys' | 'needs' | 'prerequisites' | 'check' | 'decide'> {
  return {
    orderingKeys: command.orderingKeys(request),
    needs: command.needs(request),
    prerequisites: (seen) => command.prerequisites?.(seen, request) ?? [],
    check: (seen) => command.check(seen, request),
    decide: (locked) => command.decide(locked, request),
  };
}
