import type { AccessTokens } from './access-tokens';
import type { Authentication } from './actor';
import type { ExternalTokens } from './external-tokens';

/** Who calls, by the Authorization header: at once for our own tokens, a moment later for those of an external issuer. */
export type Authenticate = (authorization: string | undefined) => Authentication | Promise<Authentication>;

/**
 * Asks our own secrets first, which accept HS256 alone; the keys of the external issuer, which accept asymmetric
 * algorithms alone, are asked for the rest. Without one, everything else proves nobody, and nothing is fetched.
 */
export function authenticationBy(own: AccessTokens, external?: ExternalTokens): Authenticate {
  return (authorization) => {
    const actor = own.userOf(authorization);
    return actor || !external || authorization === undefined ? { actor } : external.authenticate(authorization);
  };
}
