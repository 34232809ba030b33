import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import type { Role } from './actor';

export const PUBLIC_ROUTE = 'x-public';
export const ROUTE_ROLES = 'x-roles';

export type IsPublic = (query: Record<string, unknown>) => boolean;

/** The route needs no token and ignores an invalid one. `isPublic` can limit that to requests with a certain query. */
export const Public = (isPublic: IsPublic = () => true): MethodDecorator & ClassDecorator =>
  applyDecorators(SetMetadata(PUBLIC_ROUTE, isPublic), ApiExtension(PUBLIC_ROUTE, true));

/** The route is for these roles; without this decorator, for every signed-in user. */
export const Roles = (...roles: Role[]): MethodDecorator & ClassDecorator =>
  applyDecorators(SetMetadata(ROUTE_ROLES, roles), ApiExtension(ROUTE_ROLES, roles));
