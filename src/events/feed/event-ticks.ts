import { Injectable } from '@nestjs/common';
import { prepared } from '../../platform/database/prepared';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { log } from '../../platform/logging/logger';
import { EventJobs } from '../event-jobs';
import { lockHead } from './event-head.locks';
import { BEGIN_ERA, LOOK, MAKE_TICK } from './tick.query';

/** Between two ticks, of all processes together. */
const PAUSE_MS = 100;

/** Makes the ticks that put what was committed into one order, for all processes and for good. */
@Injectable()
export class EventTicks {
  constructor(
    private readonly transactions: TransactionRunner,
    jobs: EventJobs,
  ) {
    jobs.add('event-ticks', PAUSE_MS, async () => {
      await this.tick(PAUSE_MS);
      return false;
    });
  }

  /**
   * Makes a tick of what has been committed since the last one. False if that is nothing, if the last one is younger than
   * `pauseMs`, or if another process is about it; nothing is written then.
   */
  async tick(pauseMs = 0): Promise<boolean> {
    const [look] = await this.transactions.read((manager) =>
      manager.query<{ isYounger: boolean; hasEvents: boolean }[]>(prepared(LOOK), [pauseMs]),
    );
    if (look?.isYounger) {
      return this.beginEra();
    }
    return look?.hasEvents === true && this.make();
  }

  private make(): Promise<boolean> {
    return this.transactions.run(async ({ tx }) => {
      if (!(await lockHead(tx))) {
        return false;
      }
      const [made] = await tx.query<[unknown[], number]>(prepared(MAKE_TICK));
      return made.length > 0;
    });
  }

  private beginEra(): Promise<boolean> {
    return this.transactions.run(async ({ tx }) => {
      const head = await lockHead(tx);
      const [look] = await tx.query<{ isYounger: boolean }[]>(LOOK, [0]);
      if (!head || !look?.isYounger) {
        return false;
      }
      const [[begun]] = await tx.query<[{ era: number }[], number]>(BEGIN_ERA);
      log.warn({ era: begun!.era }, 'transaction ids have started again, as after a restore: events begin a new era');
      return true;
    });
  }
}
