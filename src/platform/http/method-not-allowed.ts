import type { FastifyInstance, HTTPMethods } from 'fastify';
import { MethodNotAllowed } from '../errors/domain-errors';

const METHODS: HTTPMethods[] = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE'];

/**
 * Remembers every route that is added; when the server is ready, each known path gets a route for the methods that it
 * does not know, which answers 405 with `Allow`. So the router itself decides what a known path is.
 */
export function refuseOtherMethods(server: FastifyInstance): void {
  const methodsOf = new Map<string, Set<string>>();
  server.addHook('onRoute', ({ url, method }) => {
    const path = url.replace(/\/+$/, '') || '/';
    const known = methodsOf.get(path) ?? new Set();
    [method].flat().forEach((name) => known.add(name));
    methodsOf.set(path, known);
  });
  server.decorate('sealRoutes', () => {
    for (const [url, known] of [...methodsOf]) {
      const allowed = [...known].sort();
      const others = METHODS.filter((method) => !known.has(method));
      if (url.includes('*') || others.length === 0) {
        continue;
      }
      server.route({
        url,
        method: others,
        handler: ({ method }) => {
          throw new MethodNotAllowed(method, allowed);
        },
      });
    }
  });
}
