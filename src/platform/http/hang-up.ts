import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';

/**
 * An `AbortSignal` for a GET that may take long: aborted when the caller hangs up before the answer. Until then the
 * idle timeout of the connection is off; Node sets it again with the next request.
 */
export const HangUp = createParamDecorator((_: unknown, context: ExecutionContext): AbortSignal => {
  const request = context.switchToHttp().getRequest<FastifyRequest>();
  request.raw.socket.setTimeout(0);
  return request.signal;
});
