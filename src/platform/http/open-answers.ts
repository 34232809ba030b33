import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';

declare module 'node:net' {
  interface Socket {
    /** The answers that are not sent yet, in the order of their requests. */
    openAnswers?: ServerResponse[];
    /** Whether this connection accepts no further requests. */
    isEnding?: boolean;
  }
}

/**
 * Handles pipelined requests: every request that was begun gets its answer. So an answer says `Connection: close` only
 * if it is the last on its connection, and requests after such an answer are not begun. Call this before any other hook
 * is added: whether a request is begun is decided when it arrives.
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
  // Fastify closes a connection after a body that it could not read; a client may ask to close it too.
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
