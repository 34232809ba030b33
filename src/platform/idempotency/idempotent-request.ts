import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { InvalidIdempotencyKey } from '../errors/domain-errors';
import { pathOf } from '../errors/problem';

const VISIBLE_ASCII = /^[!-~]{1,255}$/;

/** The identity of one operation: who asks for what, under which key. */
export interface IdempotentRequest {
  /** Undefined if the caller gave none: the request is then carried out each time. */
  readonly key: string | undefined;
  readonly caller: string;
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  /** The status that a success of this route has. */
  readonly status: number;
  /** Whether the caller has hung up, so that nobody will read the answer. */
  readonly isAbandoned: () => boolean;
}

/** @throws InvalidIdempotencyKey */
export const Idempotency = createParamDecorator((_: unknown, context: ExecutionContext): IdempotentRequest => {
  const http = context.switchToHttp();
  const { headers, actor, method, url, body, raw } = http.getRequest<FastifyRequest>();
  return {
    key: keyFrom(headers['idempotency-key']),
    caller: actor?.id ?? 'anonymous',
    method,
    path: pathOf(url).replace(/\/+$/, ''),
    body,
    status: http.getResponse<FastifyReply>().statusCode,
    isAbandoned: () => raw.socket.destroyed,
  };
});

function keyFrom(header: string | string[] | undefined): string | undefined {
  if (header === undefined) {
    return undefined;
  }
  if (typeof header !== 'string' || !VISIBLE_ASCII.test(header)) {
    throw new InvalidIdempotencyKey();
  }
  return header;
}
