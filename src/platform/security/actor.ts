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

/** Who has called, as far as it is known. */
export interface Authentication {
  /** Whom the request's token names; undefined without a valid one, and while that is not known. */
  actor?: UserActor;
  /** Where only the external issuer can tell: the same, once it has. Rejected with IssuerUnavailable if it does not. */
  lateActor?: Promise<UserActor | undefined>;
}

declare module 'fastify' {
  interface FastifyRequest {
    actor?: Authentication['actor'];
    lateActor?: Authentication['lateActor'];
  }
}

/** How an actor is written down in audit rows, movements and logs. */
export function actorName(actor: Actor): string {
  return actor.kind === 'user' ? `user:${actor.id}` : `system:${actor.job}`;
}

/** Whether this user sees and moves what belongs to others. */
export function isAdmin(actor: UserActor | undefined): boolean {
  return actor?.role === 'admin';
}

/** The signed-in caller; undefined only on a public route. */
export const Caller = createParamDecorator(
  (_: unknown, context: ExecutionContext) => context.switchToHttp().getRequest<FastifyRequest>().actor,
);
