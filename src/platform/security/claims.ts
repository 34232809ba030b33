import { isUUID } from 'class-validator';
import { decode } from 'jsonwebtoken';
import { ROLES, type UserActor } from './actor';

/**
 * How far `nbf` may lie ahead: to a clock that is slower than the issuer's, a new token would seem not yet valid. `exp`
 * is exact to the second: losing a few seconds of an hour harms nobody.
 */
export const CLOCK_SKEW_SECONDS = 5;

const BEARER = /^Bearer +(\S+)$/i;

/** The token in an Authorization header. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return BEARER.exec(authorization ?? '')?.[1];
}

/** The user in the claims of a verified token; undefined if the claims are invalid or expired. */
export function userIn(claims: { sub?: unknown; role?: unknown; exp?: unknown }): UserActor | undefined {
  const { sub, role, exp } = claims;
  if (typeof exp !== 'number' || exp * 1000 <= Date.now() || !isUUID(sub)) {
    return undefined;
  }
  const known = ROLES.find((one) => one === role);
  return known && { kind: 'user', id: (sub as string).toLowerCase(), role: known };
}

/** For how long a token that has been verified is still valid. */
export function millisecondsLeft(authorization: string | undefined): number {
  const { exp } = (decode(bearerOf(authorization) ?? '') ?? {}) as { exp?: number };
  return (exp ?? 0) * 1000 - Date.now();
}
