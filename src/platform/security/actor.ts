import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';

export const ROLES = ['admin', 'user'] as const;
export type Role = (typeof ROLES)[number];

export interface UserActor {
  readonly kind: 'user';
  readonly id: string;
  readonly role: Role;
}

export interface SystemActor {
  readonly kind: 'system';
  readonly job: string;
}

export type Actor = UserActor | SystemActor;

/** The caller, as far as known. */
export interface Authentication {
  /** The user of the request's token; undefined without a valid token, and while its validity is unknown. */
  actor?: UserActor;
  /** Set if the issuer must be asked first: resolves with the user, or rejects with IssuerUnavailable. */
  lateActor?: Promise<UserActor | undefined>;
}

declare module 'fastify' {
  interface FastifyRequest {
    actor?: Authentication['actor'];
    lateActor?: Authentication['lateActor'];
  }
}

/** How an actor appears in audit rows, movements and logs. */
export function actorName(actor: Actor): string {
  return actor.kind === 'user' ? `user:${actor.id}` : `system:${actor.job}`;
}

/** Whether this user may see and change what belongs to others. */
export function isAdmin(actor: UserActor | undefined): boolean {
  return actor?.role === 'admin';
}

/** The signed-in caller; undefined only on a public route. */
export const Caller = createParamDecorator(
  (_: unknown, context: ExecutionContext) => context.switchToHttp().getRequest<FastifyRequest>().actor,
);
