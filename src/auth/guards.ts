import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { Forbidden, Unauthenticated } from '../platform/errors/domain-errors';
import { type IsPublic, PUBLIC_ROUTE, ROUTE_ROLES } from '../platform/security/access.decorators';
import type { Role } from '../platform/security/actor';

/**
 * Denies by default: every route needs a valid token unless it is marked `@Public`. Only this guard waits for an
 * external issuer: a request that needs no token does not.
 */
@Injectable()
export class TokenGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  /** @throws Unauthenticated; IssuerUnavailable if the external issuer must be asked and cannot be reached */
  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const request = requestOf(context);
    const isPublic = this.reflector.getAllAndOverride<IsPublic | undefined>(PUBLIC_ROUTE, [
      context.getHandler(),
      context.getClass(),
    ]);
    return (
      request.actor !== undefined || isPublic?.(request.query as Record<string, unknown>) || authenticateLate(request)
    );
  }
}

/** Lets through the roles that `@Roles` names. */
@Injectable()
export class RolesGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const roles = this.reflector.getAllAndOverride<Role[] | undefined>(ROUTE_ROLES, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (roles && !roles.some((role) => role === actorOf(context)?.role)) {
      throw new Forbidden(`This is for the role ${roles.join(' or ')}`);
    }
    return true;
  }
}

async function authenticateLate(request: FastifyRequest): Promise<true> {
  const actor = await request.lateActor;
  if (!actor) {
    throw new Unauthenticated();
  }
  request.actor = request.context.actor = actor;
  return true;
}

function actorOf(context: ExecutionContext): FastifyRequest['actor'] {
  return requestOf(context).actor;
}

function requestOf(context: ExecutionContext): FastifyRequest {
  return context.switchToHttp().getRequest<FastifyRequest>();
}
