import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { RepeatedJob } from '../platform/jobs/repeated-job';

/** What a process does by itself so that events are told: each part of the module adds its job. */
@Injectable()
export class EventJobs implements OnModuleDestroy {
  private readonly jobs: RepeatedJob[] = [];

  /** @param work says whether there is more to do at once */
  add(name: string, pauseMs: number, work: (stopping: AbortSignal) => Promise<boolean>): void {
    this.jobs.push(new RepeatedJob(name, pauseMs, work));
  }

  start(): void {
    this.jobs.forEach((job) => job.start());
  }

  async onModuleDestroy(): Promise<void> {
    await Promise.all(this.jobs.map((job) => job.stop()));
  }
}
