import { METHODS } from 'node:http';
import type { FastifyInstance, FastifyRequest, HTTPMethods } from 'fastify';
import { MethodNotAllowed } from '../errors/domain-errors';

/** All methods that Node's parser accepts; CONNECT never becomes a request. */
const KNOWN_METHODS = METHODS.filter((method) => method !== 'CONNECT') as HTTPMethods[];

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route exists only to refuse the other methods of its path. */
    isForOtherMethods?: boolean;
  }
}

/**
 * Records every added route. When the server is ready, each path gets a route for its remaining methods, which answers
 * 405 with `Allow`. So the router itself decides which paths exist.
 */
export function refuseOtherMethods(server: FastifyInstance): void {
  for (const method of KNOWN_METHODS) {
    if (!server.supportedMethods.includes(method)) {
      server.addHttpMethod(method);
    }
  }
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
      const others = KNOWN_METHODS.filter((method) => !known.has(method));
      if (url.includes('*') || others.length === 0) {
        continue;
      }
      const refuse = async ({ method }: FastifyRequest): Promise<void> => {
        throw new MethodNotAllowed(method, allowed);
      };
      // In a hook, so that no body is read: whatever it contains, the answer is 405.
      server.route({ url, method: others, config: { isForOtherMethods: true }, onRequest: refuse, handler: refuse });
    }
  });
}
