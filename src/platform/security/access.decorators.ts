import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import type { Role } from './actor';

export const PUBLIC_ROUTE = 'x-public';
export const ROUTE_ROLES = 'x-roles';

/** The route needs no token, and ignores a bad one. */
export const Public = (): MethodDecorator & ClassDecorator =>
  applyDecorators(SetMetadata(PUBLIC_ROUTE, true), ApiExtension(PUBLIC_ROUTE, true));

/** The route is for these roles; without this decorator it is for every signed-in user. */
export const Roles = (...roles: Role[]): MethodDecorator & ClassDecorator =>
  applyDecorators(SetMetadata(ROUTE_ROLES, roles), ApiExtension(ROUTE_ROLES, roles));
