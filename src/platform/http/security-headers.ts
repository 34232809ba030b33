import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import helmet from 'helmet';

/** Helmet's defaults, and what the two pages of documentation need: inline styles, and ReDoc's worker. */
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
 * Sets them on every answer; none depends on the request, so Helmet is asked once, not each time. What is answered to
 * somebody who is signed in is kept by no cache.
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
