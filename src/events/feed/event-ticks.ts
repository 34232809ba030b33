import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import type { EntityManager } from 'typeorm';
import { prepared } from '../../platform/database/prepared';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { log } from '../../platform/logging/logger';
import { Metrics } from '../../platform/metrics/metrics';
import { EventJobs } from '../event-jobs';
import { lockHead } from './event-head.locks';
import { BEGIN_ERA, LOOK, MAKE_TICK, type TickLook } from './tick.query';

/** The shortest time between two ticks, whichever process makes them. */
const PAUSE_MS = 100;

/** Makes the ticks, which give committed transactions one order, the same for everybody. */
@Injectable()
export class EventTicks {
  private readonly age: Gauge;
  private readonly lag: Gauge;

  constructor(
    private readonly transactions: TransactionRunner,
    jobs: EventJobs,
    { registry }: Metrics,
  ) {
    const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers: [registry] });
    this.age = gauge('holdfast_event_tick_age_seconds', 'How long ago the newest events came into the feed.');
    this.lag = gauge(
      'holdfast_event_feed_lag_seconds',
      'How long the oldest event has waited that is not in the feed yet.',
    );
    jobs.add('event-ticks', PAUSE_MS, async () => {
      await this.tick(PAUSE_MS);
      return false;
    });
  }

  /**
   * Makes a tick of what was committed since the last one. False, and nothing is written, if there is nothing, if the last
   * tick is younger than `pauseMs`, or if another process is making one.
   */
  async tick(pauseMs = 0): Promise<boolean> {
    const { isYounger, age, waiting } = await this.transactions.read(look);
    this.age.set(age / 1000);
    this.lag.set((waiting ?? 0) / 1000);
    if (isYounger) {
      return this.beginEra();
    }
    return waiting !== null && age >= pauseMs && this.make();
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
      if (!head || !(await look(tx)).isYounger) {
        return false;
      }
      const [[begun]] = await tx.query<[{ era: number }[], number]>(BEGIN_ERA);
      log.warn({ era: begun!.era }, 'transaction ids have started again, as after a restore: events begin a new era');
      return true;
    });
  }
}

async function look(manager: EntityManager): Promise<TickLook> {
  const [found] = await manager.query<TickLook[]>(prepared(LOOK));
  return found!;
}
