import { randomBytes, randomUUID } from 'node:crypto';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createApp } from '../../src/app.setup';
import { StockAlerts } from '../../src/events/alerts/stock-alerts';
import { EventTicks } from '../../src/events/feed/event-ticks';
import { WebhookDeliverer } from '../../src/events/webhooks/webhook-deliverer';
import { WebhookFanOut } from '../../src/events/webhooks/webhook-fan-out';
import { ReservationSweep } from '../../src/inventory/reservations/reservation-sweep';
import { loadConfig } from '../../src/platform/config/app-config';
import { log } from '../../src/platform/logging/logger';
import { AccessTokens } from '../../src/platform/security/access-tokens';
import type { Role } from '../../src/platform/security/actor';
import { loadSecrets } from '../../src/platform/security/secrets';
import { Api } from './api';
import { createDatabase, type TestDatabase } from './database';

export const JWT_SECRET = 'a secret that only the tests know, 32+';

/** The whole application on a database of its own, listening on a port of its own. No job runs by itself. */
export interface TestApp {
  readonly app: NestFastifyApplication;
  readonly database: TestDatabase;
  readonly url: string;
  /** Calls without a token. */
  readonly anonymous: Api;
  /** Calls as an administrator. */
  readonly admin: Api;
  /** Calls as a user whom nobody else is. */
  aUser(role?: Role): Api;
  /** Runs the sweep once; says how many reservations it expired. */
  sweep(): Promise<number>;
  /** Puts all that has been committed into the feed of events. */
  tick(): Promise<boolean>;
  /** The same, and judges the stock of the products that something has happened to. */
  judgeStock(): Promise<void>;
  /** Sends all webhooks that are due, of everything that has been committed, and waits for the answers. */
  sendWebhooks(): Promise<void>;
  /** Stops the application and drops its database. */
  close(): Promise<void>;
}

/** @param settings environment variables that differ from the tests' own: no rate limits, only errors logged */
export async function startTestApp(settings: Record<string, string> = {}, database?: TestDatabase): Promise<TestApp> {
  const own = database ?? (await createDatabase());
  const defaults = {
    NODE_ENV: 'test',
    RATE_LIMIT_PER_MINUTE: '0',
    LOGIN_RATE_LIMIT_PER_MINUTE: '0',
    LOG_LEVEL: 'error',
    JWT_SECRET,
  };
  const config = loadConfig({ ...defaults, ...settings, PORT: '0', DATABASE_URL: own.url });
  log.level = config.logLevel;
  const secrets = await loadSecrets(config);
  const app = await createApp({ config, databaseUrl: own.url, secrets }, { cronJobs: false });
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  const tokens = new AccessTokens(secrets.jwtSecret, 3600);
  const [ticks, fanOut, deliverer] = [EventTicks, WebhookFanOut, WebhookDeliverer].map((job) =>
    app.get(job, { strict: false }),
  ) as [EventTicks, WebhookFanOut, WebhookDeliverer];
  // Tests move times in the database, of which it learns nothing.
  deliverer.restFactor = 0;
  const sendWebhooks = async (): Promise<void> => {
    await ticks.tick();
    while (await fanOut.run()) {
      // There is more.
    }
    while (await deliverer.run()) {
      await deliverer.idle();
    }
  };
  const as = (role: Role): Api => {
    const id = randomUUID();
    return new Api(url, { id, token: tokens.sign({ id, role }) });
  };
  return {
    app,
    database: own,
    url,
    anonymous: new Api(url),
    admin: as('admin'),
    aUser: (role = 'user') => as(role),
    tick: () => ticks.tick(),
    judgeStock: async () => {
      await ticks.tick();
      let hasMore: boolean;
      do {
        hasMore = await app.get(StockAlerts, { strict: false }).judge();
      } while (hasMore);
    },
    sendWebhooks,
    sweep: () => app.get(ReservationSweep, { strict: false }).sweep(),
    close: async () => {
      await app.close();
      if (!database) {
        await own.drop();
      }
    },
  };
}

/** A text that no other test uses: for skus, codes and emails. */
export function unique(prefix: string): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`;
}
