import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';

declare module 'node:net' {
  interface Socket {
    /** The answers that are not out yet, in the order of their requests. */
    openAnswers?: ServerResponse[];
    /** Whether nothing more is begun on this connection. */
    isEnding?: boolean;
  }
}

/**
 * A client may send its next requests before it has the answer to the first. What was begun has its answer, so an answer
 * says that it is the last of its connection only if it is, and what comes after such an answer is not begun.
 *
 * To be called before any other hook is added: a request is begun or not in the moment in which it arrives.
 */
export function keepOpenAnswers(server: FastifyInstance): void {
  let isClosing = false;
  server.addHook('preClose', (done) => {
    isClosing = true;
    done();
  });
  server.addHook('onRequest', ({ socket }, reply, done) => {
    if (socket.isEnding) {
      reply.hijack();
      return;
    }
    const open = (socket.openAnswers ??= []);
    open.push(reply.raw);
    reply.raw.once('close', () => open.splice(open.indexOf(reply.raw), 1));
    done();
  });
  // The one who closes a connection may be Fastify, after a body that it could not read, or the client who is tired of it.
  server.addHook('onSend', ({ socket }, reply, _payload, done) => {
    if (socket.openAnswers?.at(-1) !== reply.raw) {
      void reply.removeHeader('Connection');
    } else if (isClosing || reply.getHeader('Connection') === 'close') {
      void reply.header('Connection', 'close');
      socket.isEnding = true;
    }
    done();
  });
}
