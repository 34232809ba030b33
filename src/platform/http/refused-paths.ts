import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { ValidationFailed } from '../errors/domain-errors';

/** Internal paths for requests that the router refuses. No client can request them: a path cannot contain a space. */
const [MALFORMED, UNKNOWN] = ['/ malformed', '/ unknown'];
const BAD_PATH = new ValidationFailed({ field: 'path', message: 'path must be a well-formed, percent-encoded URL' });

declare module 'node:http' {
  interface IncomingMessage {
    /** The requested path, if the request was rerouted; Fastify reads it from here. */
    originalUrl?: string;
  }
}

/**
 * The router's own answer to a malformed or too long path runs no hooks, so the request would not count towards the
 * rate limit. Instead, the request continues as one for an unknown path.
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

/** Answers requests with a malformed path, after the onRequest hooks, which count them. */
export function refuseMalformedPaths(server: FastifyInstance): void {
  server.addHook('preParsing', (request, _reply, _payload, done) =>
    done(request.raw.url === MALFORMED ? BAD_PATH : null),
  );
}
