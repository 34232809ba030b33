import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { InvalidIdempotencyKey } from '../errors/domain-errors';
import { inOneSpelling } from '../http/params';

const VISIBLE_ASCII = /^[!-~]{1,255}$/;

/** What identifies a request: caller, route and key. */
export interface IdempotentRequest {
  /** Undefined if the caller gave none: then the request runs each time. */
  readonly key: string | undefined;
  /** The user's id or, without a token, `address:` and the network that the request came from. */
  readonly caller: string;
  readonly method: string;
  /** The route with its parameters filled in: the same, however the caller spelled the path. */
  readonly path: string;
  readonly body: unknown;
  /** The HTTP status of a success of this route. */
  readonly status: number;
  /** Whether the caller has hung up, so that nobody will read the answer. */
  readonly isAbandoned: () => boolean;
}

/** @throws InvalidIdempotencyKey */
export const Idempotency = createParamDecorator((_: unknown, context: ExecutionContext): IdempotentRequest => {
  const http = context.switchToHttp();
  const request = http.getRequest<FastifyRequest>();
  const { headers, actor, network, method, body, raw } = request;
  return {
    key: keyFrom(headers['idempotency-key']),
    caller: actor?.id ?? `address:${network}`,
    method,
    path: pathOfRoute(request),
    body,
    status: http.getResponse<FastifyReply>().statusCode,
    isAbandoned: () => raw.socket.destroyed,
  };
});

function pathOfRoute({ routeOptions, params }: FastifyRequest): string {
  const values = params as Record<string, string>;
  return routeOptions.url!.replace(/:(\w+)/g, (_, name: string) => inOneSpelling(values[name]!));
}

function keyFrom(header: string | string[] | undefined): string | undefined {
  if (header === undefined) {
    return undefined;
  }
  if (typeof header !== 'string' || !VISIBLE_ASCII.test(header)) {
    throw new InvalidIdempotencyKey();
  }
  return header;
}
