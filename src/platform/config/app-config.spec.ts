import 'reflect-metadata';
import { cleanupCron, ConfigurationError, loadConfig } from './app-config';

const SECRET = 'x'.repeat(32);
const DATABASE_URL = 'postgres://user:word@localhost:5432/holdfast';

const DEFAULTS = {
  port: 3000,
  host: '127.0.0.1',
  isProduction: false,
  databaseUrl: undefined,
  databasePooler: undefined,
  databaseMigrationUrl: undefined,
  databasePoolSize: 10,
  requestTimeoutMs: 15_000,
  dataDir: '.data',
  jwtSecret: undefined,
  jwtSecretPrevious: undefined,
  jwtTtlSeconds: 3600,
  jwtIssuer: undefined,
  jwtAudience: undefined,
  externalIssuer: undefined,
  adminEmail: undefined,
  adminPassword: undefined,
  reservationTtlSeconds: 600,
  sweepsWhenHoldsEnd: true,
  reservationMaxTtlSeconds: 3600,
  reservationQueueLimit: 2000,
  eventRetentionDays: 30,
  webhookKey: undefined,
  webhookKeyPrevious: undefined,
  webhookAllowedHosts: [],
  smtpUrl: undefined,
  mailFrom: undefined,
  alertEmail: undefined,
  mailCustomers: ['confirmed', 'shipped', 'delivered', 'cancelled', 'expired'],
  rateLimitPerMinute: 6000,
  loginRateLimitPerMinute: 10,
  trustedProxies: 0,
  holdfastUrl: undefined,
  holdfastToken: undefined,
  metricsToken: undefined,
  logLevel: 'info',
};

const VARIABLES: Record<string, { good: string; field: string; value: unknown }> = {
  PORT: { good: '8080', field: 'port', value: 8080 },
  HOST: { good: '0.0.0.0', field: 'host', value: '0.0.0.0' },
  DATABASE_URL: { good: DATABASE_URL, field: 'databaseUrl', value: DATABASE_URL },
  DATABASE_POOL_SIZE: { good: '20', field: 'databasePoolSize', value: 20 },
  REQUEST_TIMEOUT_SECONDS: { good: '60', field: 'requestTimeoutMs', value: 60_000 },
  DATA_DIR: { good: '/var/holdfast', field: 'dataDir', value: '/var/holdfast' },
  JWT_SECRET: { good: SECRET, field: 'jwtSecret', value: SECRET },
  JWT_SECRET_PREVIOUS: { good: SECRET, field: 'jwtSecretPrevious', value: SECRET },
  JWT_ISSUER: { good: 'shop', field: 'jwtIssuer', value: 'shop' },
  JWT_AUDIENCE: { good: 'stock', field: 'jwtAudience', value: 'stock' },
  JWT_TTL_SECONDS: { good: '60', field: 'jwtTtlSeconds', value: 60 },
  ADMIN_EMAIL: { good: 'boss@example.com', field: 'adminEmail', value: 'boss@example.com' },
  ADMIN_PASSWORD: { good: 'twelve chars', field: 'adminPassword', value: 'twelve chars' },
  RESERVATION_TTL_SECONDS: { good: '30', field: 'reservationTtlSeconds', value: 30 },
  RESERVATION_MAX_TTL_SECONDS: { good: '7200', field: 'reservationMaxTtlSeconds', value: 7200 },
  RESERVATION_QUEUE_LIMIT: { good: '1000000', field: 'reservationQueueLimit', value: 1_000_000 },
  MAIL_FROM: { good: 'Shop <shop@example.com>', field: 'mailFrom', value: 'Shop <shop@example.com>' },
  ALERT_EMAIL: { good: 'stock@example.com', field: 'alertEmail', value: 'stock@example.com' },
  MAIL_CUSTOMERS: { good: 'shipped, expired', field: 'mailCustomers', value: ['shipped', 'expired'] },
  EVENT_RETENTION_DAYS: { good: '7', field: 'eventRetentionDays', value: 7 },
  WEBHOOK_KEY: { good: SECRET, field: 'webhookKey', value: SECRET },
  WEBHOOK_KEY_PREVIOUS: { good: SECRET, field: 'webhookKeyPrevious', value: SECRET },
  WEBHOOK_ALLOWED_HOSTS: {
    good: 'receiver.Internal, 10.0.0.7,[fd00::7]',
    field: 'webhookAllowedHosts',
    value: ['receiver.internal', '10.0.0.7', '[fd00::7]'],
  },
  RATE_LIMIT_PER_MINUTE: { good: '0', field: 'rateLimitPerMinute', value: 0 },
  LOGIN_RATE_LIMIT_PER_MINUTE: { good: '0', field: 'loginRateLimitPerMinute', value: 0 },
  TRUSTED_PROXIES: { good: '1', field: 'trustedProxies', value: 1 },
  HOLDFAST_URL: { good: 'https://shop.example/stock', field: 'holdfastUrl', value: 'https://shop.example/stock' },
  HOLDFAST_TOKEN: { good: 'ey.J.x', field: 'holdfastToken', value: 'ey.J.x' },
  METRICS_TOKEN: { good: 'scrape', field: 'metricsToken', value: 'scrape' },
  LOG_LEVEL: { good: 'debug', field: 'logLevel', value: 'debug' },
};

describe('Configuration', () => {
  it('has a default for everything', () => {
    expect({ ...loadConfig({}) }).toEqual(DEFAULTS);
  });

  it('counts an empty value as unset', () => {
    const others = ['NODE_ENV', 'DATABASE_POOLER', 'DATABASE_MIGRATION_URL', 'SMTP_URL'];
    others.push('AUTH_JWKS_URL', 'AUTH_ISSUER', 'AUTH_AUDIENCE');
    const empty = Object.fromEntries([...Object.keys(VARIABLES), ...others].map((name) => [name, '']));
    expect({ ...loadConfig(empty) }).toEqual(DEFAULTS);
  });

  it('takes no notice of variables that it does not know', () => {
    expect({ ...loadConfig({ PATH: '/bin', port: '1', constructor: 'x' }) }).toEqual(DEFAULTS);
  });

  it.each(Object.entries(VARIABLES))('reads %s', (name, { good, field, value }) => {
    expect({ ...loadConfig({ [name]: good }) }).toEqual({ ...DEFAULTS, [field]: value });
  });

  it.each([
    ['PORT', ['abc', '-1', '65536', '3000.5', '1e3', '0x10', ' 3000', '٣']],
    ['NODE_ENV', ['prod', 'Production']],
    [
      'DATABASE_URL',
      [
        'localhost',
        'mysql://localhost/x',
        'postgres://',
        'postgres://host:port/x',
        'postgres://[::1/x',
        'postgres://a b/x',
      ],
    ],
    ['DATABASE_POOL_SIZE', ['0', '-1', '1001', 'ten']],
    ['JWT_SECRET', ['x'.repeat(31)]],
    ['JWT_SECRET_PREVIOUS', ['x'.repeat(31)]],
    ['JWT_TTL_SECONDS', ['0', '-5', 'an hour']],
    ['ADMIN_EMAIL', ['admin', 'a@b']],
    ['ADMIN_PASSWORD', ['x'.repeat(11), 'x'.repeat(129)]],
    ['RESERVATION_TTL_SECONDS', ['0', 'x', '3601', '99999999']],
    ['RESERVATION_MAX_TTL_SECONDS', ['0', 'x', '599']],
    ['RESERVATION_QUEUE_LIMIT', ['0', '-1', '1000001', '1.5', 'many']],
    ['EVENT_RETENTION_DAYS', ['0', '3651', 'never']],
    ['WEBHOOK_KEY', ['x'.repeat(31)]],
    ['WEBHOOK_KEY_PREVIOUS', ['x'.repeat(31)]],
    ['WEBHOOK_ALLOWED_HOSTS', ['http://a', 'a:80', 'a/b', 'a b', 'fd00::7', 'user@a', '*']],
    ['HOLDFAST_URL', ['localhost:3000', 'ftp://x', 'http://', 'http://a b']],
    ['SMTP_URL', ['localhost', 'smtp://', 'smtps:///x', 'http://localhost', 'smtp://a b', 'smtp://host:port']],
    ['MAIL_FROM', ['shop', 'Shop <shop>', 'a@example.com, b@example.com', 'a@example.com\nBcc: b@example.com']],
    ['ALERT_EMAIL', ['stock', 'Stock <stock@example.com>', 'a@example.com,b@example.com']],
    ['MAIL_CUSTOMERS', ['all', 'confirmed;shipped', 'none,shipped', 'Shipped', ',']],
    ['CLEANUP_CRON', ['nope', '61 * * * * *', '* *', '0 0 30 2 *']],
    ['RATE_LIMIT_PER_MINUTE', ['-1', 'off']],
    ['LOGIN_RATE_LIMIT_PER_MINUTE', ['-1', '1.5']],
    ['LOG_LEVEL', ['loud', 'INFO']],
  ])('refuses a wrong %s in one line that names it: %p', (name, values) => {
    for (const value of values) {
      const { message } = refusalOf({ [name]: value });
      expect(message).toMatch(new RegExp(`^[^\\n]*\\b${name}\\b[^\\n]*$`));
    }
  });

  it('says what kind of value it wants, before how large it may be', () => {
    expect(refusalOf({ PORT: 'abc' }).message).toBe('PORT must be an integer number');
    expect(refusalOf({ PORT: '65536' }).message).toBe('PORT must not be greater than 65535');
  });

  it('repeats no secret in a message', () => {
    const urls = ['DATABASE_URL', 'DATABASE_MIGRATION_URL', 'AUTH_JWKS_URL', 'SMTP_URL'];
    for (const name of ['JWT_SECRET', 'JWT_SECRET_PREVIOUS', 'ADMIN_PASSWORD', ...urls]) {
      expect(refusalOf({ [name]: 'geheim' }).message).not.toContain('geheim');
    }
  });

  it('refuses production without a database and a secret of its own', () => {
    const production = { NODE_ENV: 'production', DATABASE_URL, JWT_SECRET: SECRET };
    expect(loadConfig(production)).toMatchObject({ isProduction: true, databaseUrl: DATABASE_URL, jwtSecret: SECRET });
    expect(refusalOf({ ...production, DATABASE_URL: '' }).message).toContain('DATABASE_URL');
    expect(refusalOf({ ...production, JWT_SECRET: undefined }).message).toContain('JWT_SECRET');
  });

  it('knows where mail is sent, and wants to know from whom', () => {
    const [SMTP_URL, MAIL_FROM] = ['smtps://user:geheim@smtp.example.com:465', 'shop@example.com'];
    expect(loadConfig({ SMTP_URL, MAIL_FROM })).toMatchObject({ smtpUrl: SMTP_URL, mailFrom: MAIL_FROM });
    expect(refusalOf({ SMTP_URL }).message).toBe('MAIL_FROM must be set with SMTP_URL');
  });

  it('knows that customers may want no mail at all', () => {
    expect(loadConfig({ MAIL_CUSTOMERS: 'none' }).mailCustomers).toEqual([]);
  });

  it('knows poolers in transaction mode, and wants the way past them with it', () => {
    const direct = 'postgres://owner:word@localhost:5433/holdfast';
    const pooled = { DATABASE_URL, DATABASE_POOLER: 'transaction', DATABASE_MIGRATION_URL: direct };
    expect(loadConfig(pooled)).toMatchObject({ databasePooler: 'transaction', databaseMigrationUrl: direct });
    expect(loadConfig({ ...pooled, DATABASE_POOLER: '' })).toMatchObject({ databaseMigrationUrl: direct });
    expect(refusalOf({ ...pooled, DATABASE_POOLER: 'session' }).message).toMatch(/^DATABASE_POOLER must be [^\n]+$/);
    for (const name of ['DATABASE_URL', 'DATABASE_MIGRATION_URL']) {
      expect(refusalOf({ ...pooled, [name]: '' }).message).toMatch(new RegExp(`^${name} must be set with [^\\n]+$`));
    }
    const wrong = { ...pooled, DATABASE_MIGRATION_URL: 'localhost' };
    expect(refusalOf(wrong).message).toBe('DATABASE_MIGRATION_URL must be a postgres:// address');
  });

  describe('of an external issuer', () => {
    const ISSUER = {
      AUTH_JWKS_URL: 'https://idp.example/keys',
      AUTH_ISSUER: 'https://idp.example',
      AUTH_AUDIENCE: 'stock',
    };
    const read = { jwksUrl: ISSUER.AUTH_JWKS_URL, issuer: ISSUER.AUTH_ISSUER, audience: 'stock' };

    it('is read as one', () => {
      expect({ ...loadConfig(ISSUER) }).toEqual({ ...DEFAULTS, externalIssuer: read });
    });

    it.each(['http://localhost:8080/keys', 'http://127.0.0.1/keys', 'http://[::1]:8080/keys'])(
      'may be this machine without TLS: %s',
      (jwksUrl) => {
        expect(loadConfig({ ...ISSUER, AUTH_JWKS_URL: jwksUrl }).externalIssuer).toEqual({ ...read, jwksUrl });
      },
    );

    it.each([
      'keys',
      'http://idp.example/keys',
      'http://localhost.idp.example/keys',
      'ftp://idp.example/keys',
      'file:///keys',
      'https://user:geheim@idp.example/keys',
      'https://geheim@idp.example/keys',
    ])('may be asked by TLS only, and without a password: not at %s', (jwksUrl) => {
      const { message } = refusalOf({ ...ISSUER, AUTH_JWKS_URL: jwksUrl });
      expect(message).toMatch(/^AUTH_JWKS_URL must be an https:\/\/ address[^\n]*$/);
      expect(message).not.toContain('geheim');
    });

    it.each(Object.keys(ISSUER))('is refused in one line without %s, and with it alone', (name) => {
      for (const half of [{ ...ISSUER, [name]: '' }, { [name]: ISSUER[name as keyof typeof ISSUER] }]) {
        expect(refusalOf(half).message).toMatch(new RegExp(`^[^\\n]*\\b${name}\\b[^\\n]*$`));
      }
    });
  });

  it.each([
    ['', true],
    ['* * * * * *', true],
    ['*/10 * * * * *', true],
    ['* * * * *', true],
    ['*/2 * * * *', false],
    ['0 * * * *', false],
    ['0 0 1 1 *', false],
    ['0 0 0 29 2 *', false],
  ])('lets the sweep run when holds end unless it is wanted rarely: %s', (CLEANUP_CRON, isWanted) => {
    expect(loadConfig({ CLEANUP_CRON }).sweepsWhenHoldsEnd).toBe(isWanted);
  });

  it('declares the sweep with the same schedule', () => {
    expect(cleanupCron({ CLEANUP_CRON: '0 * * * *' })).toBe('0 * * * *');
    expect(cleanupCron({ CLEANUP_CRON: '' })).toBe('*/10 * * * * *');
    expect(cleanupCron({})).toBe('*/10 * * * * *');
  });
});

function refusalOf(env: Record<string, string | undefined>): ConfigurationError {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return error as ConfigurationError;
  }
  throw new Error(`Accepted: ${JSON.stringify(env)}`);
}
