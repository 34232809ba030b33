import type { AccessTokens } from './access-tokens';
import type { UserActor } from './actor';
import type { ExternalTokens } from './external-tokens';

/** Who calls, by the Authorization header: at once for our own tokens, later for those of an external issuer. */
export type Authenticate = (
  authorization: string | undefined,
) => UserActor | undefined | Promise<UserActor | undefined>;

/**
 * Asks our own secrets first, which accept HS256 alone; the external issuer, whose keys accept asymmetric algorithms
 * alone, is asked for the rest. Without one, everything else proves nobody, and nothing is fetched.
 */
export function authenticationBy(own: AccessTokens, external?: ExternalTokens): Authenticate {
  return (authorization) =>
    own.userOf(authorization) ?? (authorization === undefined ? undefined : external?.userOf(authorization));
}
