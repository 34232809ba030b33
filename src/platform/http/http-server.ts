import { isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ClsServiceManager } from 'nestjs-cls';
import secureJson from 'secure-json-parse';
import { isUUID } from 'class-validator';
import { uuidv7 } from 'uuidv7';
import type { AppConfig } from '../config/app-config';
import type { ContextStore } from '../context/request-context';
import { until } from '../database/deadline';
import { MalformedJson, PayloadTooLarge, ValidationFailed } from '../errors/domain-errors';
import { problemBody, PROBLEM_MEDIA_TYPE, sendProblem } from '../errors/problem';
import { PROBLEMS } from '../errors/problem-catalogue';
import { toDomainError } from '../errors/problem.filter';
import { log } from '../logging/logger';
import type { Metrics } from '../metrics/metrics';
import { actorName } from '../security/actor';
import type { Authenticate, Authentication } from '../security/authentication';
import { networkOf } from '../security/network';
import { shapeFault } from './body-shape';
import { wrapAnswers } from './envelope';
import { refuseOtherMethods } from './method-not-allowed';

/** The longest product that may be, every character of it escaped, has 93 KiB; a basket of a hundred lines 13. */
const BODY_LIMIT_BYTES = 96 * 1024;
const MAX_PARAMETER_LENGTH = 200;
/** How often Node looks for requests that take too long to arrive; its own 30 s would double the time that they have. */
const ARRIVAL_CHECK_MS = 1_000;
const REFUSALS = new Set([401, 403, 429]);
const BAD_URL = new ValidationFailed({ field: 'path', message: 'path must be a well-formed, percent-encoded URL' });

declare module 'fastify' {
  interface FastifyRequest {
    /** The store of the request's context: what CLS holds, and where it is picked up again after the body was read. */
    context: ContextStore;
  }

  interface FastifyInstance {
    /** To be called when all routes are known: refuses their other methods with 405. */
    sealRoutes(): void;
  }
}

/**
 * The HTTP server below Nest: it gives every request its id and its context before anything else can fail, knows the
 * caller before the rate limit counts, reads JSON bodies, and writes one log line and one measurement per request.
 */
export function createHttpServer(config: AppConfig, authenticate: Authenticate, metrics: Metrics): FastifyInstance {
  const server = fastify({
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: config.requestTimeoutMs,
    // A client that does not read its answer is not waited for; one that waits for its answer hears it before this.
    connectionTimeout: 2 * config.requestTimeoutMs,
    trustProxy: (_address, hop) => hop < config.trustedProxies,
    genReqId: ({ headers }) => requestIdFrom(headers['x-request-id']),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PARAMETER_LENGTH },
    // Requests on connections that stay open while we close are still served; each is told that it was the last.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      sendProblem(reply, error.code === 'FST_ERR_BAD_URL' ? BAD_URL : toDomainError(error));
      // What the router refuses passes no hook.
      observe(request, reply, metrics);
    },
    clientErrorHandler: answerUnreadableRequest,
    http: {
      // Node would refuse a request without Host by itself, and without a problem document.
      requireHostHeader: false,
      connectionsCheckingInterval: ARRIVAL_CHECK_MS,
      // Node gives the body the longer of two limits; its own one for the head is a minute.
      headersTimeout: config.requestTimeoutMs,
    },
  });
  openContexts(server, authenticate, config);
  readJsonBodies(server);
  wrapAnswers(server);
  refuseOtherMethods(server);
  server.addHook('onResponse', (request, reply, done) => {
    observe(request, reply, metrics);
    done();
  });
  endConnectionsWhenClosing(server);
  // Node would refuse an `Expect` other than 100-continue by itself; HTTP lets us pass over what we do not know.
  server.server.on('checkExpectation', (request, response) => server.server.emit('request', request, response));
  return server;
}

/** A request's own id is taken over when it is a UUID, in the lower case that PostgreSQL gives it back in. */
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
  // A body arrives in events of its socket, which know nothing of the context: go back into it. Now the request is whole.
  server.addHook('preValidation', (request, _reply, done) =>
    until(performance.now() + requestTimeoutMs, () => cls.runWith(request.context, done)),
  );
}

function readJsonBodies(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    if (body.length === 0) {
      done(null, undefined);
      return;
    }
    // Read as text at once, every wrong byte would become U+FFFD unseen.
    if (!isUtf8(body as Buffer)) {
      done(new MalformedJson('The body is not UTF-8'));
      return;
    }
    const fault = shapeFault(body as Buffer);
    if (fault !== undefined) {
      done(new ValidationFailed({ field: 'body', message: `body ${fault}` }));
      return;
    }
    try {
      done(null, secureJson.parse(body.toString(), null, { protoAction: 'error', constructorAction: 'error' }));
    } catch (error) {
      done(new MalformedJson(`The body is not JSON: ${(error as Error).message}`));
    }
  });
}

/** A client that keeps its connection open would hold up the shutdown until it is tired of it. */
function endConnectionsWhenClosing(server: FastifyInstance): void {
  let isClosing = false;
  server.addHook('preClose', (done) => {
    isClosing = true;
    done();
  });
  server.addHook('onSend', (_request, reply, _payload, done) => {
    if (isClosing) {
      void reply.header('Connection', 'close');
    }
    done();
  });
}

function observe(request: FastifyRequest, reply: FastifyReply, metrics: Metrics): void {
  const route = request.routeOptions.url ?? 'unmatched';
  const status = reply.statusCode;
  const seconds = reply.elapsedTime / 1000;
  metrics.httpRequestDuration.observe({ method: request.method, route, status }, seconds);
  const ms = Math.round(reply.elapsedTime * 10) / 10;
  // Who tries what is not for them is looked for by address: they have no name, or a stolen one.
  const address = REFUSALS.has(status) ? request.ip : undefined;
  log.info({ ...logFields(request), route, status, ms, address }, 'request');
}

function logFields(request: FastifyRequest): object {
  const { requestId, actor } = request.context ?? { requestId: request.id };
  return { request_id: requestId, actor: actor && actorName(actor), method: request.method };
}

/** What Node's parser could not read never becomes a request, so no hook and no filter sees it. */
function answerUnreadableRequest(
  this: FastifyInstance,
  error: Error & { code?: string; rawPacket?: unknown },
  socket: Socket,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const requestId = uuidv7();
  const isHead = Buffer.isBuffer(error.rawPacket) && error.rawPacket.toString('latin1', 0, 5) === 'HEAD ';
  const isTooLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const problem = isTooLarge
    ? new PayloadTooLarge('The head of the request is larger than the service accepts')
    : new MalformedJson('The request is not well-formed HTTP, or did not arrive in time');
  const body = JSON.stringify(problemBody(problem, requestId, '/'));
  log.info({ request_id: requestId, status: PROBLEMS[problem.code].status, reason: error.code }, 'unreadable request');
  socket.end(
    `HTTP/1.1 ${isTooLarge ? '413 Payload Too Large' : '400 Bad Request'}\r\nContent-Type: ${PROBLEM_MEDIA_TYPE}\r\nX-Request-Id: ${requestId}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${isHead ? '' : body}`,
  );
}
