import { Injectable } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import { AppConfig } from '../../platform/config/app-config';
import { RequestContext } from '../../platform/context/request-context';
import { TransactionRunner } from '../../platform/database/transaction-runner';

const BATCH = 5_000;

/** The first UUID of version 7 that can be made at a time: so the primary key finds what is older. */
const FIRST_ID = (at: string): string =>
  `rpad(lpad(to_hex((extract(epoch FROM ${at}) * 1000)::bigint), 12, '0'), 32, '0')::uuid`;

/** What an enabled endpoint is still to get stays, however old it is. $1 days */
const PURGE = `
  WITH old AS MATERIALIZED (
    SELECT id FROM webhook_deliveries AS one
    WHERE id < ${FIRST_ID(`statement_timestamp() - $1 * interval '1 day'`)} AND NOT (one.state = 'pending' AND EXISTS (
      SELECT FROM webhook_endpoints AS endpoint WHERE endpoint.id = one.endpoint_id AND endpoint.state = 'enabled'))
    ORDER BY id LIMIT ${BATCH}
  ),
  attempts AS (DELETE FROM webhook_attempts USING old WHERE delivery_id = old.id)
  DELETE FROM webhook_deliveries USING old WHERE webhook_deliveries.id = old.id`;

/** Deletes deliveries with their attempts when they are older than events are kept. */
@Injectable()
export class WebhookRetention {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
    private readonly config: AppConfig,
  ) {}

  @Cron(CronExpression.EVERY_HOUR, { name: 'webhook-retention', waitForCompletion: true })
  async purge(): Promise<void> {
    await this.context.runAsSystem('webhook-retention', async () => {
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
