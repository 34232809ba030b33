import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';

/** An `AbortSignal` for a GET: aborted when the caller hangs up before the answer. */
export const HangUp = createParamDecorator(
  (_: unknown, context: ExecutionContext): AbortSignal => context.switchToHttp().getRequest<FastifyRequest>().signal,
);
