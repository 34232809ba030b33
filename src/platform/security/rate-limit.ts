import fastifyRateLimit, { type RateLimitOptions } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { AppConfig } from '../config/app-config';
import { RateLimited } from '../errors/domain-errors';

const MINUTE_MS = 60_000;
/** How many callers each limit remembers; the least recent is forgotten first. */
const REMEMBERED_CALLERS = 20_000;
/**
 * The limit for all users of an address together, as a multiple of one user's: enough for people who share an address,
 * and no gain from registering thousands of users.
 */
const USERS_OF_AN_ADDRESS = 10;
/** Health checks must get an answer from a process in trouble, even if their address has reached its limit. */
const UNCOUNTED: (string | undefined)[] = ['/health/live', '/health/ready'];
const METRICS = '/metrics';
/** Enough for several scrapers every few seconds; each answer takes some milliseconds. */
const METRICS_PER_MINUTE = 60;
/** The routes that hash passwords. */
const PASSWORD_ROUTES = ['/api/auth/login', '/api/auth/register'];

/**
 * Limits requests a minute by user and, for all users of an address together, by address; without a valid token by
 * address alone. Log-ins and registrations share a separate limit by address, and reading the metrics has one too.
 */
export async function limitRates(server: FastifyInstance, config: AppConfig): Promise<void> {
  const { rateLimitPerMinute, loginRateLimitPerMinute } = config;
  await server.register(fastifyRateLimit, {
    global: false,
    timeWindow: MINUTE_MS,
    errorResponseBuilder: (_request, { max, ttl }) => refusal(max, ttl),
  });
  const byCaller = server.rateLimit(limit(rateLimitPerMinute, ({ actor, network }) => actor?.id ?? network));
  const ofUsers = server.createRateLimit(limit(rateLimitPerMinute * USERS_OF_AN_ADDRESS, ({ network }) => network));
  const ofPasswords = server.rateLimit(limit(loginRateLimitPerMinute, ({ network }) => network));
  const ofMetrics = server.rateLimit(limit(Math.min(METRICS_PER_MINUTE, rateLimitPerMinute), ({ network }) => network));

  // For every request, including unknown paths, which the plugin's own limit by route would not see.
  server.addHook('onRequest', async function (request, reply) {
    const { url: route } = request.routeOptions;
    if (UNCOUNTED.includes(route)) {
      return;
    }
    if (loginRateLimitPerMinute > 0 && isAboutPasswords(request)) {
      await ofPasswords.call(this, request, reply);
    } else if (rateLimitPerMinute > 0) {
      await (route === METRICS ? ofMetrics : byCaller).call(this, request, reply);
      // A user's refused requests do not count towards the limit of the address.
      const counted = request.actor && (await ofUsers(request));
      if (counted && !counted.isAllowed && counted.isExceeded) {
        throw refusal(counted.max, counted.ttl);
      }
    }
  });
}

function limit(max: number, keyGenerator: (request: FastifyRequest) => string): RateLimitOptions {
  return { max, keyGenerator, cache: REMEMBERED_CALLERS };
}

function refusal(max: number, ttlMs: number): RateLimited {
  return new RateLimited(max, Math.max(1, Math.ceil(ttlMs / 1000)));
}

function isAboutPasswords({ method, routeOptions }: FastifyRequest): boolean {
  return method === 'POST' && PASSWORD_ROUTES.includes(routeOptions.url ?? '');
}
