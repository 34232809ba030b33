import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { VersionMismatch } from '../errors/domain-errors';

const ENTITY_TAG = /^(?:W\/)?"?(\d{1,9})"?$/;

/** The request's `If-Match`, undefined if it has none. */
export const IfMatch = createParamDecorator(
  (_: unknown, context: ExecutionContext) => context.switchToHttp().getRequest<FastifyRequest>().headers['if-match'],
);

/** The conditions for a change that waits for its turn. */
export interface Conditions {
  readonly ifMatch: string | undefined;
  /** Whether the caller has hung up, so that nobody will read the answer. */
  readonly isAbandoned: () => boolean;
}

export const WithConditions = createParamDecorator((_: unknown, context: ExecutionContext): Conditions => {
  const { headers, raw } = context.switchToHttp().getRequest<FastifyRequest>();
  return { ifMatch: headers['if-match'], isAbandoned: () => raw.socket.destroyed };
});

/**
 * RFC 9110, 13.1.1: the condition holds if the header is `*` or lists the current version. Other tags match nothing.
 * @throws VersionMismatch
 */
export function assertVersion(ifMatch: string | undefined, currentVersion: number): void {
  const holds = ifMatch === undefined || ifMatch.split(',').some((tag) => matches(tag.trim(), currentVersion));
  if (!holds) {
    throw new VersionMismatch(currentVersion);
  }
}

function matches(tag: string, version: number): boolean {
  return tag === '*' || Number(ENTITY_TAG.exec(tag)?.[1]) === version;
}
