import { Injectable } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import { AppConfig } from '../../platform/config/app-config';
import { RequestContext } from '../../platform/context/request-context';
import { TransactionRunner } from '../../platform/database/transaction-runner';

const BATCH = 10_000;

/** The newest tick is kept, however old it is, because the next one starts where it ends. $1 days */
const PURGE = `
  WITH old AS (
    SELECT era, id FROM event_ticks
    WHERE at < statement_timestamp() - $1 * interval '1 day' AND (era, id) < (SELECT era, tick FROM event_head)
    ORDER BY era, id LIMIT ${BATCH}
  )
  DELETE FROM event_ticks USING old WHERE (event_ticks.era, event_ticks.id) = (old.era, old.id)`;

/** Deletes old ticks: their events can no longer be read in the feed. The audit log keeps its rows. */
@Injectable()
export class EventRetention {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly config: AppConfig,
  ) {}

  @Cron(CronExpression.EVERY_HOUR, { name: 'event-retention', waitForCompletion: true })
  async purge(): Promise<void> {
    await this.context.runAsSystem('event-retention', async () => {
      const days = this.config.eventRetentionDays;
      let dropped: number;
      do {
        dropped = await this.transactions.run(
          async ({ tx }) => (await tx.query<[unknown[], number]>(PURGE, [days]))[1],
        );
      } while (dropped === BATCH);
    });
  }
}
