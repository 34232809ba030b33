import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import helmet from 'helmet';

/** Helmet's defaults, plus what the two documentation pages need: inline styles, and ReDoc's worker. */
const secure = helmet({
  contentSecurityPolicy: {
    directives: {
      defaultSrc: ["'self'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'", "'unsafe-inline'"],
      fontSrc: ["'self'", 'data:'],
      imgSrc: ["'self'", 'data:'],
      workerSrc: ["'self'", 'blob:'],
      upgradeInsecureRequests: null,
    },
  },
});

/**
 * Sets the headers on every answer. None depends on the request, so Helmet runs only once. Answers to signed-in users
 * must not be cached.
 */
export function secureHeaders(server: FastifyInstance): void {
  const headers: Record<string, string> = {};
  const recorder = {
    setHeader: (name: string, value: string) => (headers[name] = value),
    removeHeader: () => undefined,
  };
  secure({} as never, recorder as unknown as ServerResponse, () => undefined);
  const privateHeaders = { ...headers, 'Cache-Control': 'no-store' };
  server.addHook('onRequest', (request, reply, done) => {
    void reply.headers(request.actor ? privateHeaders : headers);
    done();
  });
}
