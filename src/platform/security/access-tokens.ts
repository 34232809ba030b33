import { createSecretKey, type KeyObject } from 'node:crypto';
import { type JwtPayload, sign, verify, type VerifyOptions } from 'jsonwebtoken';
import type { Role, UserActor } from './actor';
import { bearerOf, CLOCK_SKEW_SECONDS, userIn } from './claims';

const ALGORITHM = 'HS256';
const VERIFICATION: VerifyOptions = { algorithms: [ALGORITHM], clockTolerance: CLOCK_SKEW_SECONDS };
/** The `iss` and `aud` of our tokens unless JWT_ISSUER and JWT_AUDIENCE are set. */
const OWN_NAME = 'holdfast';

export interface TokenRules {
  /** Still accepted, but no longer used to sign. */
  previousSecret?: string;
  /** The required `iss`. Unset: ours, or none at all. */
  issuer?: string;
  /** The required `aud`, possibly among others. Unset: ours, or none at all. */
  audience?: string;
}

/** Signs and checks our own bearer tokens: JWT, HS256, with `sub` (user id), `role`, `exp`, `iss` and `aud`. */
export class AccessTokens {
  // KeyObjects, not strings: given a string, the library tries to parse it as a public key on every request.
  private readonly keys: readonly [KeyObject, ...KeyObject[]];

  constructor(
    secret: string,
    readonly ttlSeconds: number,
    private readonly rules: TokenRules = {},
  ) {
    const { previousSecret } = rules;
    this.keys = [createSecretKey(secret, 'utf8'), ...(previousSecret ? [createSecretKey(previousSecret, 'utf8')] : [])];
  }

  sign(user: { id: string; role: Role }): string {
    const { issuer = OWN_NAME, audience = OWN_NAME } = this.rules;
    return sign({ role: user.role }, this.keys[0], {
      ...{ algorithm: ALGORITHM, subject: user.id, expiresIn: this.ttlSeconds },
      ...{ issuer, audience },
    });
  }

  /**
   * The user of our token in an Authorization header; undefined if the token is missing, malformed, forged, expired, or
   * from another issuer or for another audience. Synchronous, because every request calls it.
   */
  userOf(authorization: string | undefined): UserActor | undefined {
    const token = bearerOf(authorization);
    if (token === undefined) {
      return undefined;
    }
    for (const key of this.keys) {
      const claims = verified(token, key);
      if (claims) {
        return this.isForUs(claims) ? userIn(claims) : undefined;
      }
    }
    return undefined;
  }

  /**
   * Others who have the secret may sign tokens, and the contract requires only `sub`, `role` and `exp`. So a token
   * without issuer or audience passes unless the settings require one. A token with a different one does not.
   */
  private isForUs({ iss, aud }: JwtPayload): boolean {
    const { issuer, audience } = this.rules;
    return isOurs(iss, issuer) && (Array.isArray(aud) ? aud.includes(audience ?? OWN_NAME) : isOurs(aud, audience));
  }
}

function verified(token: string, key: KeyObject): JwtPayload | undefined {
  try {
    const claims = verify(token, key, VERIFICATION);
    return typeof claims === 'string' ? undefined : claims;
  } catch {
    return undefined;
  }
}

function isOurs(name: string | undefined, expected: string | undefined): boolean {
  return name === undefined ? expected === undefined : name === (expected ?? OWN_NAME);
}
