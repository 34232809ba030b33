import { Injectable } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import { AppConfig } from '../../platform/config/app-config';
import { RequestContext } from '../../platform/context/request-context';
import { TransactionRunner } from '../../platform/database/transaction-runner';

const BATCH = 10_000;

/** $1 days */
const PURGE = `
  WITH old AS (
    SELECT event_id, recipient FROM mails
    WHERE state IN ('sent', 'failed') AND created_at < statement_timestamp() - $1 * interval '1 day' LIMIT ${BATCH}
  )
  DELETE FROM mails USING old WHERE (mails.event_id, mails.recipient) = (old.event_id, old.recipient)`;

/** Lets go of mails that were sent or given up, when their events are let go of. */
@Injectable()
export class MailRetention {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly config: AppConfig,
  ) {}

  @Cron(CronExpression.EVERY_HOUR, { name: 'mail-retention', waitForCompletion: true })
  async purge(): Promise<void> {
    await this.context.runAsSystem('mail-retention', async () => {
      let dropped: number;
      do {
        dropped = await this.transactions.run(
          async ({ tx }) => (await tx.query<[unknown[], number]>(PURGE, [this.config.eventRetentionDays]))[1],
        );
      } while (dropped === BATCH);
    });
  }
}
