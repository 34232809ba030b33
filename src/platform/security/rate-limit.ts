import fastifyRateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { AppConfig } from '../config/app-config';
import { RateLimited } from '../errors/domain-errors';

const MINUTE_MS = 60_000;
/** Callers remembered at once; the least recent is forgotten first. */
const REMEMBERED_CALLERS = 20_000;
const UNCOUNTED = /^\/(health|metrics)(\/|$|\?)/;
const LOGIN = '/api/auth/login';

/** Limits requests a minute, by user or, without a valid token, by address; log-ins on their own, by address. */
export async function limitRates(server: FastifyInstance, config: AppConfig): Promise<void> {
  const { rateLimitPerMinute, loginRateLimitPerMinute } = config;
  if (loginRateLimitPerMinute > 0) {
    server.addHook('onRoute', (route) => {
      if (route.url === LOGIN && route.method === 'POST') {
        route.config = { ...route.config, rateLimit: { max: loginRateLimitPerMinute, keyGenerator: addressOf } };
      }
    });
  }
  await server.register(fastifyRateLimit, {
    global: false,
    max: rateLimitPerMinute,
    timeWindow: MINUTE_MS,
    cache: REMEMBERED_CALLERS,
    keyGenerator: callerOf,
    allowList: (request) => UNCOUNTED.test(request.url),
    errorResponseBuilder: (_request, { max, ttl }) => new RateLimited(max, Math.max(1, Math.ceil(ttl / 1000))),
  });
  // For every request, also for those to unknown paths, which the plugin's own limit by route would not see.
  if (rateLimitPerMinute > 0) {
    const limit = server.rateLimit();
    server.addHook('onRequest', function (request, reply) {
      const hasItsOwn = request.routeOptions.config.rateLimit !== undefined;
      return hasItsOwn ? Promise.resolve() : limit.call(this, request, reply);
    });
  }
}

function callerOf(request: FastifyRequest): string {
  return request.actor?.id ?? request.ip;
}

function addressOf(request: FastifyRequest): string {
  return request.ip;
}
