import { z } from 'zod';
import {
  emailAddress,
  hostNames,
  integer,
  isFrequent,
  isJwksUrl,
  mailSender,
  oneOf,
  postgresUrl,
  secret,
  smtpUrl,
  someOf,
} from './setting-rules';

/** The documentation of a setting, besides its default and its allowed values. */
interface Declaration {
  readonly variable: string;
  readonly text: string;
  /** A value to show where there is no default. */
  readonly example?: string;
}

export const declarations = z.registry<Declaration>();
export const DEFAULT_CLEANUP_CRON = '*/10 * * * * *';
export const DEVELOPMENT_ADMIN = 'admin@holdfast.local';

const A_MONTH = 2_592_000;
const A_YEAR = 31_536_000;
const MOST_REQUESTS = 10_000_000;

/**
 * All settings, in the order of the documentation, by their names in AppConfig. Each rule is a phrase that follows the
 * name of the variable. After a change, `npm run settings` writes `.env.example` and the table in `docs/operations.md`.
 */
export const settings = z.object({
  port: integer(3000, { least: 0, most: 65_535 }).register(declarations, {
    variable: 'PORT',
    text: 'The port it listens on.',
  }),
  host: z.string().default('127.0.0.1').register(declarations, {
    variable: 'HOST',
    text: 'The address it listens on. `0.0.0.0`: all addresses of this machine.',
  }),
  isProduction: oneOf('development', 'production', 'test')
    .default('development')
    .transform((mode) => mode === 'production')
    .register(declarations, {
      variable: 'NODE_ENV',
      text: '`production` refuses to start without `JWT_SECRET` and `DATABASE_URL`.',
    }),

  databaseUrl: postgresUrl().optional().register(declarations, {
    variable: 'DATABASE_URL',
    text: 'Unset: an embedded PostgreSQL with its data under `DATA_DIR`.',
    example: 'postgres://user:password@localhost:5432/holdfast',
  }),
  databasePooler: oneOf('transaction').optional().register(declarations, {
    variable: 'DATABASE_POOLER',
    text: 'Set it if `DATABASE_URL` is a PgBouncer in transaction mode; `docs/pooler.md` says what else that requires.',
    example: 'transaction',
  }),
  databaseMigrationUrl: postgresUrl().optional().register(declarations, {
    variable: 'DATABASE_MIGRATION_URL',
    text: 'Where migrations, `npm run seed` and `npm run audit:archive` connect: past any pooler. Unset: `DATABASE_URL`.',
    example: 'postgres://user:password@localhost:5432/holdfast',
  }),
  databasePoolSize: integer(10, { least: 1, most: 1000 }).register(declarations, {
    variable: 'DATABASE_POOL_SIZE',
    text: 'Database connections of this process.',
  }),
  dataDir: z.string().default('.data').register(declarations, {
    variable: 'DATA_DIR',
    text: 'Where the embedded database and a generated `JWT_SECRET` are kept, and mails if there is no `SMTP_URL`.',
  }),

  requestTimeoutMs: integer(15, { least: 5, most: 300 })
    .transform((seconds) => seconds * 1000)
    .register(declarations, {
      variable: 'REQUEST_TIMEOUT_SECONDS',
      text: 'How long a request may take to arrive completely, and then to be answered.',
    }),
  trustedProxies: integer(0, { least: 0, most: 10 }).register(declarations, {
    variable: 'TRUSTED_PROXIES',
    text:
      'Reverse proxies in front whose `X-Forwarded-For` is believed. ' +
      '0: the caller is the address of the connection, so all callers behind a proxy share its limits.',
  }),
  rateLimitPerMinute: integer(6000, { least: 0, most: MOST_REQUESTS }).register(declarations, {
    variable: 'RATE_LIMIT_PER_MINUTE',
    text:
      'Requests per user (without a token: per address, an IPv6 /64) and process. ' +
      'All users of an address together have ten times as many. 0: no limit.',
  }),
  loginRateLimitPerMinute: integer(10, { least: 0, most: MOST_REQUESTS }).register(declarations, {
    variable: 'LOGIN_RATE_LIMIT_PER_MINUTE',
    text: 'Log-ins and registrations together, per address and process. 0: only `RATE_LIMIT_PER_MINUTE` applies.',
  }),

  jwtSecret: secret().optional().register(declarations, {
    variable: 'JWT_SECRET',
    text: 'Signs tokens; the same in all processes. Unset: generated at the first start and kept under `DATA_DIR`.',
  }),
  jwtSecretPrevious: secret().optional().register(declarations, {
    variable: 'JWT_SECRET_PREVIOUS',
    text: 'The secret before `JWT_SECRET`: still accepted, but not used to sign. `docs/security.md` says how to change it.',
  }),
  jwtTtlSeconds: integer(3600, { least: 1, most: A_YEAR }).register(declarations, {
    variable: 'JWT_TTL_SECONDS',
    text: 'How long a token is valid.',
  }),
  jwtIssuer: z.string().optional().register(declarations, {
    variable: 'JWT_ISSUER',
    text: 'Set: every token must have this `iss`. Unset: ours have `holdfast`, others may have none.',
  }),
  jwtAudience: z.string().optional().register(declarations, {
    variable: 'JWT_AUDIENCE',
    text: 'Set: every token must have this `aud`. Unset: ours have `holdfast`, others may have none.',
  }),
  authJwksUrl: z
    .string()
    .refine(isJwksUrl, 'must be an https:// address without a password; http:// only for localhost')
    .optional()
    .register(declarations, {
      variable: 'AUTH_JWKS_URL',
      text:
        'The keys of an identity provider whose tokens are accepted besides ours: https, or http on this machine. ' +
        'Set all three of `AUTH_JWKS_URL`, `AUTH_ISSUER` and `AUTH_AUDIENCE`, or none.',
      example: 'https://idp.example.com/.well-known/jwks.json',
    }),
  authIssuer: z.string().optional().register(declarations, {
    variable: 'AUTH_ISSUER',
    text: 'The `iss` of the tokens of that identity provider.',
    example: 'https://idp.example.com',
  }),
  authAudience: z.string().optional().register(declarations, {
    variable: 'AUTH_AUDIENCE',
    text: 'The `aud` that its tokens must have.',
    example: 'holdfast',
  }),
  adminEmail: emailAddress()
    .optional()
    .register(declarations, {
      variable: 'ADMIN_EMAIL',
      text:
        'The administrator, made at the start if missing; in production only if `ADMIN_PASSWORD` is set too. ' +
        `Unset: \`${DEVELOPMENT_ADMIN}\`, in production none.`,
      example: DEVELOPMENT_ADMIN,
    }),
  adminPassword: z
    .string()
    .min(12, 'must have 12 characters or more')
    .max(128, 'must have 128 characters or fewer')
    .optional()
    .register(declarations, {
      variable: 'ADMIN_PASSWORD',
      text: 'Unset: generated when the administrator is made, and printed once.',
    }),

  reservationTtlSeconds: integer(600, { least: 1, most: A_MONTH }).register(declarations, {
    variable: 'RESERVATION_TTL_SECONDS',
    text: 'How long a reservation holds its stock if the request does not say.',
  }),
  reservationMaxTtlSeconds: integer(3600, { least: 1, most: A_MONTH }).register(declarations, {
    variable: 'RESERVATION_MAX_TTL_SECONDS',
    text: 'How long a reservation may hold its stock, including all extensions.',
  }),
  reservationQueueLimit: integer(2000, { least: 1, most: 1_000_000 }).register(declarations, {
    variable: 'RESERVATION_QUEUE_LIMIT',
    text: 'Requests that may wait in this process for one product or order; further ones get 503 `overloaded` at once.',
  }),
  sweepsWhenHoldsEnd: z.string().default(DEFAULT_CLEANUP_CRON).transform(isFrequent).register(declarations, {
    variable: 'CLEANUP_CRON',
    text: 'When the sweep runs, besides whenever a hold ends. If rarer than once a minute, it runs only on this schedule.',
  }),

  eventRetentionDays: integer(30, { least: 1, most: 3650 }).register(declarations, {
    variable: 'EVENT_RETENTION_DAYS',
    text: 'How many days of events can be read at `/api/events`, and of deliveries of webhooks and mails. The audit log keeps all events.',
  }),
  webhookKey: secret().optional().register(declarations, {
    variable: 'WEBHOOK_KEY',
    text: 'Encrypts the secrets of webhook endpoints; the same in all processes. Unset: a key made from `JWT_SECRET`.',
  }),
  webhookKeyPrevious: secret().optional().register(declarations, {
    variable: 'WEBHOOK_KEY_PREVIOUS',
    text: 'The key before `WEBHOOK_KEY`: secrets that were encrypted with it can still be read.',
  }),
  webhookAllowedHosts: hostNames().register(declarations, {
    variable: 'WEBHOOK_ALLOWED_HOSTS',
    text:
      'Hosts of our own network that webhooks may be sent to, comma-separated, also over http. Else only public ' +
      'addresses are connected to; outside production, this machine too.',
    example: 'receiver.internal,10.0.0.7',
  }),

  smtpUrl: smtpUrl()
    .optional()
    .register(declarations, {
      variable: 'SMTP_URL',
      text:
        'The server that takes our mails, with user and password if it needs them: these are sent over a network only ' +
        'with TLS. Unset: mails are written to `mail` under `DATA_DIR`; in production there are none.',
      example: 'smtps://user:password@smtp.example.com',
    }),
  mailFrom: mailSender().optional().register(declarations, {
    variable: 'MAIL_FROM',
    text: 'The sender of mails. Must be set with `SMTP_URL`.',
    example: 'Holdfast <shop@example.com>',
  }),
  alertEmail: emailAddress().optional().register(declarations, {
    variable: 'ALERT_EMAIL',
    text: 'Who gets a mail when stock is low or depleted, or a webhook endpoint was disabled. Unset: nobody.',
    example: 'stock@example.com',
  }),
  mailCustomers: someOf('confirmed', 'shipped', 'delivered', 'cancelled', 'expired').register(declarations, {
    variable: 'MAIL_CUSTOMERS',
    text:
      'What customers get a mail of: that their order was confirmed, shipped, delivered or cancelled, or that its hold ' +
      'ran out (expired). Comma-separated, or `none`.',
  }),

  holdfastUrl: z
    .string()
    .refine((value) => /^https?:\/\/\S+$/.test(value) && URL.canParse(value), 'must be an http:// or https:// address')
    .optional()
    .register(declarations, {
      variable: 'HOLDFAST_URL',
      text: 'For `npm run tail`: where the service is. Unset: on this machine, at `PORT`.',
      example: 'https://holdfast.example.com',
    }),
  holdfastToken: z.string().optional().register(declarations, {
    variable: 'HOLDFAST_TOKEN',
    text: "For `npm run tail`: an administrator's token. Unset: it logs in with `ADMIN_EMAIL` and `ADMIN_PASSWORD`.",
  }),

  metricsToken: z.string().optional().register(declarations, {
    variable: 'METRICS_TOKEN',
    text: 'Set: `/metrics` requires it as bearer token. An address may read it 60 times a minute.',
  }),
  logLevel: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent').default('info').register(declarations, {
    variable: 'LOG_LEVEL',
    text: 'The lowest level that is logged.',
  }),
});
