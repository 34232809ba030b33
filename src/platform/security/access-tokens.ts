import { createSecretKey, type KeyObject } from 'node:crypto';
import { isUUID } from 'class-validator';
import { type JwtPayload, sign, verify } from 'jsonwebtoken';
import { ROLES, type Role, type UserActor } from './actor';

const ALGORITHM = 'HS256';
const BEARER = /^Bearer +(\S+)$/i;

/** Signs and checks the bearer tokens: JWT, HS256, with `sub` (user id), `role` and `exp`. */
export class AccessTokens {
  // A KeyObject, not the string: with a string the library tries to parse a public key on every request.
  private readonly key: KeyObject;

  constructor(
    secret: string,
    readonly ttlSeconds: number,
  ) {
    this.key = createSecretKey(secret, 'utf8');
  }

  sign(user: { id: string; role: Role }): string {
    return sign({ role: user.role }, this.key, { algorithm: ALGORITHM, subject: user.id, expiresIn: this.ttlSeconds });
  }

  /** The user whom an Authorization header proves, or undefined if it is missing, malformed, forged or expired. */
  userOf(authorization: string | undefined): UserActor | undefined {
    const token = BEARER.exec(authorization ?? '')?.[1];
    if (!token) {
      return undefined;
    }
    try {
      return toUser(verify(token, this.key, { algorithms: [ALGORITHM] }));
    } catch {
      return undefined;
    }
  }
}

function toUser(claims: JwtPayload | string): UserActor | undefined {
  if (typeof claims === 'string' || typeof claims.exp !== 'number') {
    return undefined;
  }
  const role = ROLES.find((known) => known === claims['role']);
  return role && isUUID(claims.sub) ? { kind: 'user', id: (claims.sub as string).toLowerCase(), role } : undefined;
}
