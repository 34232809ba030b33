import type { z } from 'zod';
import { declarations, DEFAULT_CLEANUP_CRON, settings } from './settings';

/** A setting that is missing or wrong. The message is one line that names the variable and the rule. */
export class ConfigurationError extends Error {}

/** An identity provider whose tokens are accepted like our own. */
export interface ExternalIssuer {
  readonly jwksUrl: string;
  readonly issuer: string;
  readonly audience: string;
}

type Settings = Readonly<z.output<typeof settings>>;
type AuthSettings = Pick<Settings, 'authJwksUrl' | 'authIssuer' | 'authAudience'>;
type Values = Omit<Settings, keyof AuthSettings> & { readonly externalIssuer?: ExternalIssuer };

/** The type of the fields comes from `settings`, so that they are not listed here again. */
const FieldsOfSettings = Object as unknown as new () => Values;

/** The settings of one process, checked. Durations are in seconds, except where the name says milliseconds. */
export class AppConfig extends FieldsOfSettings {
  constructor(values: Values) {
    super();
    Object.assign(this, values);
  }
}

/**
 * Reads the settings; an empty value counts as unset.
 * @throws ConfigurationError with the first variable that is wrong, and the rule it breaks
 */
export function loadConfig(source: NodeJS.ProcessEnv = process.env): AppConfig {
  const fields = Object.keys(settings.shape) as (keyof Settings)[];
  const given = fields.map((field) => [field, source[variableOf(field)] || undefined]);
  const { data, error } = settings.safeParse(Object.fromEntries(given));
  if (!data) {
    const { path, message } = error.issues[0]!;
    throw new ConfigurationError(`${variableOf(path[0] as keyof Settings)} ${message}`);
  }
  assertProduction(data);
  assertDatabaseUrls(data);
  if (data.smtpUrl !== undefined && data.mailFrom === undefined) {
    throw new ConfigurationError('MAIL_FROM must be set with SMTP_URL');
  }
  if (data.reservationTtlSeconds > data.reservationMaxTtlSeconds) {
    throw new ConfigurationError('RESERVATION_TTL_SECONDS must not be greater than RESERVATION_MAX_TTL_SECONDS');
  }
  const { authJwksUrl, authIssuer, authAudience, ...values } = data;
  return new AppConfig({ ...values, externalIssuer: externalIssuerOf({ authJwksUrl, authIssuer, authAudience }) });
}

/** The schedule for the sweep's @Cron: decorators are evaluated before any configuration object exists. */
export function cleanupCron(source: NodeJS.ProcessEnv = process.env): string {
  return source['CLEANUP_CRON'] || DEFAULT_CLEANUP_CRON;
}

function variableOf(field: keyof Settings): string {
  return declarations.get(settings.shape[field])!.variable;
}

function assertProduction({ isProduction, databaseUrl, jwtSecret }: Settings): void {
  if (isProduction && databaseUrl === undefined) {
    throw new ConfigurationError('DATABASE_URL must be set in production');
  }
  if (isProduction && jwtSecret === undefined) {
    throw new ConfigurationError('JWT_SECRET must be set in production, with 32 characters or more');
  }
}

function assertDatabaseUrls({ databaseUrl, databasePooler, databaseMigrationUrl }: Settings): void {
  if (databasePooler !== undefined && databaseMigrationUrl === undefined) {
    throw new ConfigurationError('DATABASE_MIGRATION_URL must be set with DATABASE_POOLER, and lead past the pooler');
  }
  if (databaseMigrationUrl !== undefined && databaseUrl === undefined) {
    throw new ConfigurationError('DATABASE_URL must be set with DATABASE_MIGRATION_URL');
  }
}

function externalIssuerOf({ authJwksUrl, authIssuer, authAudience }: AuthSettings): ExternalIssuer | undefined {
  if (authJwksUrl !== undefined && authIssuer !== undefined && authAudience !== undefined) {
    return { jwksUrl: authJwksUrl, issuer: authIssuer, audience: authAudience };
  }
  if (authJwksUrl !== undefined || authIssuer !== undefined || authAudience !== undefined) {
    throw new ConfigurationError('AUTH_JWKS_URL, AUTH_ISSUER and AUTH_AUDIENCE must be set together');
  }
  return undefined;
}
