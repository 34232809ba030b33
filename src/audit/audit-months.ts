import { Injectable } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import { databaseDay } from '../platform/database/clock';
import { TransactionRunner } from '../platform/database/transaction-runner';
import { log } from '../platform/logging/logger';
import { makeMonth, missingMonths } from './audit-partitions';

/** How many months the job may fail before rows have no partition for their month. */
const MONTHS_AHEAD = 3;

/** Creates the partitions of the audit log before they are needed. Rows without one go to the default partition. */
@Injectable()
export class AuditMonths {
  constructor(private readonly transactions: TransactionRunner) {}

  @Cron(CronExpression.EVERY_DAY_AT_3AM, { name: 'audit-months', waitForCompletion: true })
  async makeOnSchedule(): Promise<void> {
    try {
      await this.makeAhead();
    } catch (error) {
      log.error({ err: error }, 'could not look for missing months of the audit log; tried again tomorrow');
    }
  }

  /**
   * Creates the partitions of this month and the next ones, by the database's clock, and returns the new months; locks
   * nothing if none is missing. Any number of processes can call it at once. If a month cannot be created, for instance
   * after a lock timeout, that is logged, and the others are still created.
   */
  async makeAhead(): Promise<string[]> {
    const missing = await this.transactions.read(async (manager) =>
      missingMonths(manager, await databaseDay(manager), MONTHS_AHEAD),
    );
    const made: string[] = [];
    for (const month of missing) {
      try {
        if (await this.transactions.run(({ tx }) => makeMonth(tx, month))) {
          made.push(month);
          log.info({ month }, 'made a month of the audit log');
        }
      } catch (error) {
        log.error({ err: error, month }, 'could not make a month of the audit log; tried again tomorrow');
      }
    }
    return made;
  }
}
