import type { AccessTokens } from './access-tokens';
import type { Authentication } from './actor';
import type { ExternalTokens } from './external-tokens';

/**
 * Identifies the caller by the Authorization header: synchronously for our own tokens, later for an external issuer's.
 */
export type Authenticate = (authorization: string | undefined) => Authentication | Promise<Authentication>;

/**
 * Checks a token with our own secrets first, which accept only HS256, and then with the keys of the external issuer,
 * which accept only asymmetric algorithms. Without an external issuer, any other token is invalid and nothing is
 * fetched.
 */
export function authenticationBy(own: AccessTokens, external?: ExternalTokens): Authenticate {
  return (authorization) => {
    const actor = own.userOf(authorization);
    return actor || !external || authorization === undefined ? { actor } : external.authenticate(authorization);
  };
}
