import { jwtVerify, type JWTVerifyGetKey, type JWTVerifyOptions } from 'jose';
import type { ExternalIssuer } from '../config/app-config';
import { IssuerUnavailable } from '../errors/domain-errors';
import type { Authentication, UserActor } from './actor';
import { bearerOf, CLOCK_SKEW_SECONDS, userIn } from './claims';
import { IssuerKeys } from './issuer-keys';

/** Asymmetric ones only: no public key of the issuer can ever be taken for the secret of an HMAC. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

/** Checks the bearer tokens of an identity provider by its public keys. */
export class ExternalTokens {
  private readonly keys: IssuerKeys;
  private readonly rules: JWTVerifyOptions;

  constructor({ jwksUrl, issuer, audience }: ExternalIssuer) {
    this.keys = new IssuerKeys(jwksUrl);
    this.rules = { algorithms: ALGORITHMS, issuer, audience, clockTolerance: CLOCK_SKEW_SECONDS };
  }

  /**
   * The user whom an Authorization header proves with a token of the issuer; `role` is `user` where it says nothing.
   * @throws IssuerUnavailable if its key is not known and cannot be fetched
   */
  userOf(authorization: string | undefined): Promise<UserActor | undefined> {
    return this.userBy(this.keys.keyFor, authorization);
  }

  /** The same without waiting for the issuer: where only that can tell, it is asked, and the answer comes late. */
  async authenticate(authorization: string | undefined): Promise<Authentication> {
    try {
      return { actor: await this.userBy(this.keys.knownKeyFor, authorization) };
    } catch {
      const lateActor = this.userOf(authorization);
      // Nobody may be waiting for it.
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
