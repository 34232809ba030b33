import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { RepeatedJob } from '../platform/jobs/repeated-job';

/** The background jobs of this module. Each part adds its own. */
@Injectable()
export class EventJobs implements OnModuleDestroy {
  private readonly jobs: RepeatedJob[] = [];

  /** @param work returns whether it has more to do already */
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
