import { Injectable } from '@nestjs/common';
import { AppConfig } from '../config/app-config';
import { Metrics } from '../metrics/metrics';
import { type BatchWork, GroupCommit, type Job } from './group-commit';

/** Makes the queues of a process: one for each kind of work, with the limit that they share, and watched together. */
@Injectable()
export class GroupCommits {
  constructor(
    private readonly config: AppConfig,
    private readonly metrics: Metrics,
  ) {}

  for<J extends Job, Result>(work: BatchWork<J, Result>): GroupCommit<J, Result> {
    const groupCommit = new GroupCommit(work, this.config.reservationQueueLimit, this.metrics);
    this.metrics.watchQueue(() => groupCommit.length);
    return groupCommit;
  }
}
