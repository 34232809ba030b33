import fastify, { type FastifyInstance } from 'fastify';
import { ClsServiceManager } from 'nestjs-cls';
import { isUUID } from 'class-validator';
import { uuidv7 } from 'uuidv7';
import type { AppConfig } from '../config/app-config';
import type { ContextStore } from '../context/request-context';
import { until } from '../database/deadline';
import type { Metrics } from '../metrics/metrics';
import type { Authentication } from '../security/actor';
import type { Authenticate } from '../security/authentication';
import { networkOf } from '../security/network';
import { wrapAnswers } from './envelope';
import { readJsonBodies } from './json-bodies';
import { refuseOtherMethods } from './method-not-allowed';
import { observeRequests } from './observe-requests';
import { keepOpenAnswers } from './open-answers';
import { refuseMalformedPaths, routeRefusedPath } from './refused-paths';
import { refuseRepeatedHeaders } from './repeated-headers';
import { answerUnreadable } from './unreadable-requests';

/** The longest valid product with every character escaped has 93 KiB; a basket of a hundred lines has 13. */
const BODY_LIMIT_BYTES = 96 * 1024;
const MAX_PARAMETER_LENGTH = 200;
/** How often Node checks for requests that take too long to arrive; its default of 30 s would double their time. */
const ARRIVAL_CHECK_MS = 1_000;

declare module 'fastify' {
  interface FastifyRequest {
    /** The request's CLS store, to enter the context again after the body was read. */
    context: ContextStore;
  }

  interface FastifyInstance {
    /** Call this when all routes are registered: it refuses their other methods with 405. */
    sealRoutes(): void;
  }
}

/**
 * The HTTP server below Nest: it gives every request its id and its context before anything else can fail, identifies
 * the caller before the rate limit counts, reads JSON bodies, and writes one log line and one measurement per request.
 */
export function createHttpServer(config: AppConfig, authenticate: Authenticate, metrics: Metrics): FastifyInstance {
  const server: FastifyInstance = fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: config.requestTimeoutMs,
    // Closes the connection of a client that does not read its answer. Every answer is sent before this timeout.
    connectionTimeout: 2 * config.requestTimeoutMs,
    trustProxy: (_address, hop) => hop < config.trustedProxies,
    genReqId: ({ headers }) => requestIdFrom(headers['x-request-id']),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PARAMETER_LENGTH },
    // Requests on open connections are still served while we close; each answer says that it is the last.
    return503OnClosing: false,
    frameworkErrors: ({ code }, { raw }, reply) => routeRefusedPath(server, code, raw, reply.raw),
    clientErrorHandler: (error, socket) => answerUnreadable(error, socket, metrics),
    http: {
      // Node would refuse a request without Host by itself, and without a problem document.
      requireHostHeader: false,
      connectionsCheckingInterval: ARRIVAL_CHECK_MS,
      // Node gives the body the longer of two limits; its own one for the head is a minute.
      headersTimeout: config.requestTimeoutMs,
    },
  });
  keepOpenAnswers(server);
  openContexts(server, authenticate, config);
  readJsonBodies(server);
  wrapAnswers(server);
  refuseOtherMethods(server);
  refuseMalformedPaths(server);
  refuseRepeatedHeaders(server);
  observeRequests(server, metrics);
  // Node would refuse an `Expect` other than 100-continue by itself; HTTP allows us to ignore unknown ones.
  server.server.on('checkExpectation', (request, response) => server.server.emit('request', request, response));
  return server;
}

/** Uses the request's own id if it is a UUID, in lower case, as PostgreSQL returns it. */
function requestIdFrom(header: string | string[] | undefined): string {
  return typeof header === 'string' && isUUID(header) ? header.toLowerCase() : uuidv7();
}

function openContexts(server: FastifyInstance, authenticate: Authenticate, { requestTimeoutMs }: AppConfig): void {
  const cls = ClsServiceManager.getClsService<ContextStore>();
  server.decorateRequest('context');
  server.decorateRequest('actor');
  server.decorateRequest('network');
  server.decorateRequest('lateActor');
  server.addHook('onRequest', (request, reply, done) => {
    void reply.header('X-Request-Id', request.id);
    request.network = networkOf(request.ip);
    const enter = ({ actor, lateActor }: Authentication): void => {
      Object.assign(request, { actor, lateActor });
      request.context = { requestId: request.id, actor };
      cls.runWith(request.context, done);
    };
    const caller = authenticate(request.headers.authorization);
    if (caller instanceof Promise) {
      void caller.then(enter);
    } else {
      enter(caller);
    }
  });
  // A body arrives in socket events, outside the context: enter it again. Now the request is complete.
  server.addHook('preValidation', (request, _reply, done) =>
    until(performance.now() + requestTimeoutMs, () => cls.runWith(request.context, done)),
  );
}
