import { jwtVerify, type JWTVerifyGetKey, type JWTVerifyOptions } from 'jose';
import type { ExternalIssuer } from '../config/app-config';
import { IssuerUnavailable } from '../errors/domain-errors';
import type { Authentication, UserActor } from './actor';
import { bearerOf, CLOCK_SKEW_SECONDS, userIn } from './claims';
import { IssuerKeys } from './issuer-keys';

/** Only asymmetric ones, so that a public key of the issuer is never used as an HMAC secret. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

/** Checks the bearer tokens of an identity provider with its public keys. */
export class ExternalTokens {
  private readonly keys: IssuerKeys;
  private readonly rules: JWTVerifyOptions;

  constructor({ jwksUrl, issuer, audience }: ExternalIssuer) {
    this.keys = new IssuerKeys(jwksUrl);
    this.rules = { algorithms: ALGORITHMS, issuer, audience, clockTolerance: CLOCK_SKEW_SECONDS };
  }

  /**
   * The user of the issuer's token in an Authorization header; `role` is `user` if the token has none.
   * @throws IssuerUnavailable if the token's key is unknown and cannot be fetched
   */
  userOf(authorization: string | undefined): Promise<UserActor | undefined> {
    return this.userBy(this.keys.keyFor, authorization);
  }

  /** The same without waiting for the issuer: if its keys must be fetched first, `lateActor` has the result. */
  async authenticate(authorization: string | undefined): Promise<Authentication> {
    try {
      return { actor: await this.userBy(this.keys.knownKeyFor, authorization) };
    } catch {
      const lateActor = this.userOf(authorization);
      // Perhaps nobody awaits it.
      lateActor.catch(() => undefined);
      return { lateActor };
    }
  }

  private async userBy(keyFor: JWTVerifyGetKey, authorization: string | undefined): Promise<UserActor | undefined> {
    const token = bearerOf(authorization);
    if (token === undefined) {
      return undefined;
    }
    try {
      const { payload } = await jwtVerify(token, keyFor, this.rules);
      return userIn({ role: 'user', ...payload });
    } catch (error) {
      if (error instanceof IssuerUnavailable) {
        throw error;
      }
      return undefined;
    }
  }
}
