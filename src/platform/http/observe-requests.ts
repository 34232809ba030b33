import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ProblemBody } from '../errors/problem';
import { log } from '../logging/logger';
import type { Metrics } from '../metrics/metrics';
import { actorName } from '../security/actor';

const REFUSALS = new Set([401, 403, 429]);
/** Methods with their own label on unknown paths; all others share one label. */
const USUAL_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const UNMATCHED = 'unmatched';
const OTHER_METHOD = 'other';

/** One log line and one measurement for each request that is answered. */
export function observeRequests(server: FastifyInstance, metrics: Metrics): void {
  server.decorateReply('problemCode');
  server.addHook('onResponse', (_request, reply, done) => {
    observeAnswer(reply, metrics);
    done();
  });
}

/** For an answer that is not sent to its end, which Fastify does not report. */
export function observeAnswer(reply: FastifyReply, metrics: Metrics): void {
  const { request, statusCode: status, problemCode: code, elapsedTime: ms } = reply;
  const { url: route = UNMATCHED, config } = request.routeOptions;
  const isKnown = route === UNMATCHED ? USUAL_METHODS.has(request.method) : config.isForOtherMethods !== true;
  const method = isKnown ? request.method : OTHER_METHOD;
  metrics.httpRequestDuration.observe({ method, route, status, code: code ?? '' }, ms / 1000);
  log.info({ ...logFields(request, status), route, status, code, ms: Math.round(ms * 10) / 10 }, 'request');
}

/** The same for bytes that never became a request. Their start is unknown, so their duration counts as zero. */
export function observeUnreadable({ code, status, request_id }: ProblemBody, metrics: Metrics, reason?: string): void {
  metrics.httpRequestDuration.observe({ method: OTHER_METHOD, route: UNMATCHED, status, code }, 0);
  log.info({ request_id, status, code, reason }, 'unreadable request');
}

function logFields(request: FastifyRequest, status: number): object {
  const { requestId, actor } = request.context ?? { requestId: request.id };
  // Refusals are logged with the address: an attacker has no name, or a stolen one.
  const address = REFUSALS.has(status) ? request.ip : undefined;
  return { request_id: requestId, actor: actor && actorName(actor), method: request.method, address };
}
