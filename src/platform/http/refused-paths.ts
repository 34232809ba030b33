import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { ValidationFailed } from '../errors/domain-errors';

/** Where the router's refusals go on. No request can ask for these: there is no space in the path of a request. */
const [MALFORMED, UNKNOWN] = ['/ malformed', '/ unknown'];
const BAD_PATH = new ValidationFailed({ field: 'path', message: 'path must be a well-formed, percent-encoded URL' });

declare module 'node:http' {
  interface IncomingMessage {
    /** What was asked for, if the request was sent on to another path; Fastify looks here. */
    originalUrl?: string;
  }
}

/**
 * The router's own answer to a path that it refuses, malformed or too long, passes no hook: it would not be counted. So
 * the request goes on as one for a path that nobody knows.
 */
export function routeRefusedPath(
  server: FastifyInstance,
  code: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  request.originalUrl = request.url;
  request.url = code === 'FST_ERR_BAD_URL' ? MALFORMED : UNKNOWN;
  server.routing(request, response);
}

/** Answers what came here because its path is malformed; after the hooks of its arrival, which count it. */
export function refuseMalformedPaths(server: FastifyInstance): void {
  server.addHook('preParsing', (request, _reply, _payload, done) =>
    done(request.raw.url === MALFORMED ? BAD_PATH : null),
  );
}
