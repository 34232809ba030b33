import { isUUID } from 'class-validator';
import { ROLES, type UserActor } from './actor';

/**
 * A clock that lags behind that of the issuer would find a new token not valid yet, so `nbf` may lie so far ahead. `exp`
 * is kept to the second: to end an hour five seconds early harms nobody, and what is over is over.
 */
export const CLOCK_SKEW_SECONDS = 5;

const BEARER = /^Bearer +(\S+)$/i;

/** The token in an Authorization header. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return BEARER.exec(authorization ?? '')?.[1];
}

/** The user whom the claims of a token name whose signature has been checked; undefined if they are not ours or over. */
export function userIn(claims: { sub?: unknown; role?: unknown; exp?: unknown }): UserActor | undefined {
  const { sub, role, exp } = claims;
  if (typeof exp !== 'number' || exp * 1000 <= Date.now() || !isUUID(sub)) {
    return undefined;
  }
  const known = ROLES.find((one) => one === role);
  return known && { kind: 'user', id: (sub as string).toLowerCase(), role: known };
}
