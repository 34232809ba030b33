import { plainToInstance } from 'class-transformer';
import {
  IsEmail,
  IsIn,
  IsInt,
  IsOptional,
  IsString,
  Length,
  Max,
  MaxLength,
  Min,
  MinLength,
  ValidateBy,
  ValidateIf,
  validateSync,
} from 'class-validator';
import { CronTime } from 'cron';
import { type ExternalIssuer, isJwksUrl } from './external-issuer';

/** A setting that is missing or wrong. The message is one line that names the variable and the rule. */
export class ConfigurationError extends Error {}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const DEFAULT_CLEANUP_CRON = '*/10 * * * * *';
const RARE_MS = 60_000;

class Environment {
  @IsInt()
  @Min(0)
  @Max(65_535)
  PORT = 3000;

  @IsString()
  HOST = '127.0.0.1';

  @IsIn(['development', 'production', 'test'])
  NODE_ENV: 'development' | 'production' | 'test' = 'development';

  @ValidateIf((env: Environment) => env.DATABASE_URL !== undefined || env.NODE_ENV === 'production')
  @IsDatabaseUrl('$property must be a postgres:// address, and in production it must be set')
  DATABASE_URL?: string;

  /** What DATABASE_URL leads to, if not to PostgreSQL itself. */
  @IsOptional()
  @IsIn(['transaction'])
  DATABASE_POOLER?: 'transaction';

  @IsOptional()
  @IsDatabaseUrl('$property must be a postgres:// address')
  DATABASE_MIGRATION_URL?: string;

  @IsInt()
  @Min(1)
  @Max(1000)
  DATABASE_POOL_SIZE = 10;

  /** How long a request may take to arrive whole, and then to be answered. */
  @IsInt()
  @Min(5)
  @Max(300)
  REQUEST_TIMEOUT_SECONDS = 15;

  @IsString()
  DATA_DIR = '.data';

  @ValidateIf((env: Environment) => env.JWT_SECRET !== undefined || env.NODE_ENV === 'production')
  @MinLength(32, { message: 'JWT_SECRET must have 32 characters or more, and in production it must be set' })
  JWT_SECRET?: string;

  @IsOptional()
  @MinLength(32)
  JWT_SECRET_PREVIOUS?: string;

  @IsInt()
  @Min(1)
  @Max(31_536_000)
  JWT_TTL_SECONDS = 3600;

  @IsOptional()
  @IsString()
  JWT_ISSUER?: string;

  @IsOptional()
  @IsString()
  JWT_AUDIENCE?: string;

  @IsOptional()
  @ValidateBy({
    name: 'isJwksUrl',
    validator: {
      validate: isJwksUrl,
      defaultMessage: () => '$property must be an https:// address without a password; http:// only for localhost',
    },
  })
  AUTH_JWKS_URL?: string;

  @IsOptional()
  @IsString()
  AUTH_ISSUER?: string;

  @IsOptional()
  @IsString()
  AUTH_AUDIENCE?: string;

  @IsOptional()
  @IsEmail()
  @MaxLength(254)
  ADMIN_EMAIL?: string;

  @IsOptional()
  @IsString()
  @Length(12, 128)
  ADMIN_PASSWORD?: string;

  @IsInt()
  @Min(1)
  @Max(2_592_000)
  RESERVATION_TTL_SECONDS = 600;

  @IsInt()
  @Min(1)
  @Max(2_592_000)
  RESERVATION_MAX_TTL_SECONDS = 3600;

  /** Requests for one product that may wait for their turn; those past it are refused at once. */
  @IsInt()
  @Min(1)
  @Max(1_000_000)
  RESERVATION_QUEUE_LIMIT = 2000;

  /** Beside whenever a hold ends. If it is rarer than each minute, the sweep runs on this schedule alone. */
  @IsString()
  CLEANUP_CRON = DEFAULT_CLEANUP_CRON;

  /** Of a user, or of an address without a token; all users of an address together have ten times as many. */
  @IsInt()
  @Min(0)
  @Max(10_000_000)
  RATE_LIMIT_PER_MINUTE = 6000;

  /** Log-ins and registrations of an address, together. */
  @IsInt()
  @Min(0)
  @Max(10_000_000)
  LOGIN_RATE_LIMIT_PER_MINUTE = 10;

  /** Reverse proxies in front, each of which adds to X-Forwarded-For. */
  @IsInt()
  @Min(0)
  @Max(10)
  TRUSTED_PROXIES = 0;

  @IsOptional()
  @IsString()
  METRICS_TOKEN?: string;

  @IsIn(LOG_LEVELS)
  LOG_LEVEL: (typeof LOG_LEVELS)[number] = 'info';
}

/** The settings of one process, checked. Durations are in seconds, except where the name says milliseconds. */
export class AppConfig {
  readonly port: number;
  readonly host: string;
  readonly isProduction: boolean;
  readonly databaseUrl?: string;
  readonly databasePooler?: 'transaction';
  readonly databaseMigrationUrl?: string;
  readonly databasePoolSize: number;
  readonly requestTimeoutMs: number;
  readonly dataDir: string;
  readonly jwtSecret?: string;
  readonly jwtSecretPrevious?: string;
  readonly jwtTtlSeconds: number;
  readonly jwtIssuer?: string;
  readonly jwtAudience?: string;
  readonly externalIssuer?: ExternalIssuer;
  readonly adminEmail?: string;
  readonly adminPassword?: string;
  readonly reservationTtlSeconds: number;
  readonly reservationMaxTtlSeconds: number;
  readonly reservationQueueLimit: number;
  /** Whether the sweep runs not only on schedule. Who wants it rarely wants it at those times and at no others. */
  readonly sweepsWhenHoldsEnd: boolean;
  readonly rateLimitPerMinute: number;
  readonly loginRateLimitPerMinute: number;
  readonly trustedProxies: number;
  readonly metricsToken?: string;
  readonly logLevel: string;

  constructor(env: Environment) {
    this.port = env.PORT;
    this.host = env.HOST;
    this.isProduction = env.NODE_ENV === 'production';
    this.databaseUrl = env.DATABASE_URL;
    this.databasePooler = env.DATABASE_POOLER;
    this.databaseMigrationUrl = env.DATABASE_MIGRATION_URL;
    this.databasePoolSize = env.DATABASE_POOL_SIZE;
    this.requestTimeoutMs = env.REQUEST_TIMEOUT_SECONDS * 1000;
    this.dataDir = env.DATA_DIR;
    this.jwtSecret = env.JWT_SECRET;
    this.jwtSecretPrevious = env.JWT_SECRET_PREVIOUS;
    this.jwtTtlSeconds = env.JWT_TTL_SECONDS;
    this.jwtIssuer = env.JWT_ISSUER;
    this.jwtAudience = env.JWT_AUDIENCE;
    this.externalIssuer = externalIssuerIn(env);
    this.adminEmail = env.ADMIN_EMAIL;
    this.adminPassword = env.ADMIN_PASSWORD;
    this.reservationTtlSeconds = env.RESERVATION_TTL_SECONDS;
    this.reservationMaxTtlSeconds = env.RESERVATION_MAX_TTL_SECONDS;
    this.reservationQueueLimit = env.RESERVATION_QUEUE_LIMIT;
    this.sweepsWhenHoldsEnd = timeBetweenRuns(env.CLEANUP_CRON) <= RARE_MS;
    this.rateLimitPerMinute = env.RATE_LIMIT_PER_MINUTE;
    this.loginRateLimitPerMinute = env.LOGIN_RATE_LIMIT_PER_MINUTE;
    this.trustedProxies = env.TRUSTED_PROXIES;
    this.metricsToken = env.METRICS_TOKEN;
    this.logLevel = env.LOG_LEVEL;
  }
}

/**
 * Reads the settings; an empty value counts as unset.
 * @throws ConfigurationError naming the first variable that is wrong, and the rule it breaks
 */
export function loadConfig(source: NodeJS.ProcessEnv = process.env): AppConfig {
  const env = plainToInstance(Environment, settingsIn(source), { exposeDefaultValues: true });
  const [problem] = validateSync(env);
  if (problem) {
    // The rule that is declared first: that it is a whole number says more than that it is not below 65536.
    throw new ConfigurationError(Object.values(problem.constraints ?? {}).at(-1));
  }
  if (env.RESERVATION_TTL_SECONDS > env.RESERVATION_MAX_TTL_SECONDS) {
    throw new ConfigurationError('RESERVATION_TTL_SECONDS must not be greater than RESERVATION_MAX_TTL_SECONDS');
  }
  assertDatabaseUrls(env);
  return new AppConfig(env);
}

function IsDatabaseUrl(message: string): PropertyDecorator {
  const validate = (value: unknown): boolean =>
    typeof value === 'string' && /^postgres(ql)?:\/\/\S+$/.test(value) && URL.canParse(value);
  return ValidateBy({ name: 'isDatabaseUrl', validator: { validate, defaultMessage: () => message } });
}

function assertDatabaseUrls(env: Environment): void {
  if (env.DATABASE_POOLER !== undefined && env.DATABASE_MIGRATION_URL === undefined) {
    throw new ConfigurationError('DATABASE_MIGRATION_URL must be set with DATABASE_POOLER, and lead past the pooler');
  }
  if (env.DATABASE_MIGRATION_URL !== undefined && env.DATABASE_URL === undefined) {
    throw new ConfigurationError('DATABASE_URL must be set with DATABASE_MIGRATION_URL');
  }
}

function externalIssuerIn(env: Environment): ExternalIssuer | undefined {
  const { AUTH_JWKS_URL: jwksUrl, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience } = env;
  if (jwksUrl !== undefined && issuer !== undefined && audience !== undefined) {
    return { jwksUrl, issuer, audience };
  }
  if (jwksUrl !== undefined || issuer !== undefined || audience !== undefined) {
    throw new ConfigurationError('AUTH_JWKS_URL, AUTH_ISSUER and AUTH_AUDIENCE must be set together');
  }
  return undefined;
}

/** What the sweep's @Cron is declared with: decorators are evaluated before any configuration object exists. */
export function cleanupCron(source: NodeJS.ProcessEnv = process.env): string {
  return source['CLEANUP_CRON'] || DEFAULT_CLEANUP_CRON;
}

function settingsIn(source: NodeJS.ProcessEnv): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const [name, fallback] of Object.entries(new Environment())) {
    const value = source[name];
    if (value === undefined || value === '') {
      continue;
    }
    settings[name] = typeof fallback === 'number' ? wholeNumber(value) : value;
  }
  return settings;
}

/** Anything but digits stays a string, so that @IsInt refuses it: `Number('')` and `Number('1e3')` would not. */
function wholeNumber(value: string): number | string {
  return /^\d{1,15}$/.test(value) ? Number(value) : value;
}

/** In milliseconds, between the next run and the one after it. @throws ConfigurationError, also if it would never run */
function timeBetweenRuns(schedule: string): number {
  try {
    const [next, afterwards] = new CronTime(schedule).sendAt(2);
    return afterwards!.diff(next!).toMillis();
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    throw new ConfigurationError(`CLEANUP_CRON must be a cron expression: ${reason}`);
  }
}
