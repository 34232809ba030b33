import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  type FetchImplementation,
  jwksCache,
  type JWKSCacheInput,
  type JWTVerifyGetKey,
} from 'jose';
import { IssuerUnavailable } from '../errors/domain-errors';
import { log } from '../logging/logger';

/** Keys that are older than this are fetched anew, while requests go on with what is known. */
const REFRESH_MS = 10 * 60_000;
/** For so long they are used without their issuer being reached; who has had no key from it by then has no token left. */
const LONGEST_USE_MS = 60 * 60_000;
/** A key that is not known is asked for again at most so often: anybody can make one up. */
const UNKNOWN_KEY_INTERVAL_MS = 30_000;
/** An issuer that does not answer is waited for so long, and asked again no sooner than that. */
const TIMEOUT_MS = 3_000;
const RETRY_MS = 5_000;

const TOO_SOON = new Error('The keys were asked for a moment ago');
const ABOUT_THE_TOKEN = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported];

/** The public keys of an external issuer, fetched from its JWKS endpoint when they are needed. */
export class IssuerKeys {
  private readonly keys: ReturnType<typeof createRemoteJWKSet>;
  /** What `keys` has fetched last: it writes that here, each time anew. */
  private readonly fetched: JWKSCacheInput = {};
  private atHand?: { readonly jwks: object; readonly keyFor: JWTVerifyGetKey };
  private refreshAt = -Infinity;
  private downloadAt = -Infinity;
  private lastFailure: unknown;

  constructor(url: string) {
    this.keys = createRemoteJWKSet(new URL(url), {
      timeoutDuration: TIMEOUT_MS,
      cooldownDuration: UNKNOWN_KEY_INTERVAL_MS,
      cacheMaxAge: LONGEST_USE_MS,
      [jwksCache]: this.fetched,
      [customFetch]: (...request) => this.download(...request),
    });
  }

  /** The key that a token says it is signed with. @throws IssuerUnavailable if it is not known and cannot be fetched */
  readonly keyFor: JWTVerifyGetKey = async (header, token) => {
    this.refresh();
    try {
      return await this.keys(header, token);
    } catch (error) {
      if (ABOUT_THE_TOKEN.some((kind) => error instanceof kind)) {
        throw error;
      }
      this.report(error);
      throw new IssuerUnavailable();
    }
  };

  /** As `keyFor`, of the keys that are at hand, without waiting. @throws IssuerUnavailable if only the issuer can tell */
  readonly knownKeyFor: JWTVerifyGetKey = async (header, token) => {
    this.refresh();
    const { jwks } = this.fetched;
    if (!jwks || !this.keys.fresh) {
      throw new IssuerUnavailable();
    }
    if (this.atHand?.jwks !== jwks) {
      this.atHand = { jwks, keyFor: createLocalJWKSet(jwks) };
    }
    try {
      return await this.atHand.keyFor(header, token);
    } catch (error) {
      // There may be a new one, unless they have just been fetched.
      throw error instanceof errors.JWKSNoMatchingKey && !this.keys.coolingDown ? new IssuerUnavailable() : error;
    }
  };

  private refresh(): void {
    if (performance.now() < this.refreshAt) {
      return;
    }
    this.refreshAt = performance.now() + REFRESH_MS;
    this.keys.reload().catch((error: unknown) => {
      this.refreshAt = performance.now() + RETRY_MS;
      this.report(error);
    });
  }

  private async download(...[url, options]: Parameters<FetchImplementation>): Promise<Response> {
    if (performance.now() < this.downloadAt) {
      throw TOO_SOON;
    }
    this.downloadAt = performance.now() + RETRY_MS;
    return fetch(url, options);
  }

  /** Once for each attempt, however many requests waited for it. */
  private report(error: unknown): void {
    if (error !== TOO_SOON && error !== this.lastFailure) {
      this.lastFailure = error;
      log.warn({ err: error }, 'the keys of the external issuer cannot be fetched');
    }
  }
}
