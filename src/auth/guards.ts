import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { Forbidden, Unauthenticated } from '../platform/errors/domain-errors';
import { PUBLIC_ROUTE, ROUTE_ROLES } from '../platform/security/access.decorators';
import type { Role } from '../platform/security/actor';

/** Closed by default: every route needs a valid token, unless it is marked `@Public`. */
@Injectable()
export class TokenGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const isPublic = this.reflector.getAllAndOverride<boolean>(PUBLIC_ROUTE, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (!isPublic && !actorOf(context)) {
      throw requestOf(context).authenticationFailure ?? new Unauthenticated();
    }
    return true;
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

function actorOf(context: ExecutionContext): FastifyRequest['actor'] {
  return requestOf(context).actor;
}

function requestOf(context: ExecutionContext): FastifyRequest {
  return context.switchToHttp().getRequest<FastifyRequest>();
}
