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

/** Keys older than this are fetched again, while requests continue with the known ones. */
const REFRESH_MS = 10 * 60_000;
/** How long keys are used if the issuer cannot be reached. */
const LONGEST_USE_MS = 60 * 60_000;
/** The shortest interval between fetches for unknown keys: anybody can make one up. */
const UNKNOWN_KEY_INTERVAL_MS = 30_000;
/** The timeout of a fetch. */
const TIMEOUT_MS = 3_000;
/** The shortest interval between fetches. */
const RETRY_MS = 5_000;

const TOO_SOON = new Error('The keys were asked for a moment ago');
const ABOUT_THE_TOKEN = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported];

/** The public keys of an external issuer, fetched from its JWKS endpoint when needed. */
export class IssuerKeys {
  private readonly keys: ReturnType<typeof createRemoteJWKSet>;
  /** The result of the last fetch, written by `keys`. */
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

  /** The key that a token names. @throws IssuerUnavailable if it is unknown and cannot be fetched */
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

  /** Like `keyFor`, but only from the cached keys, without waiting. @throws IssuerUnavailable if a fetch is needed */
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
      // There may be a new key, unless the keys have just been fetched.
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

  /** Logs a failed fetch once, however many requests waited for it. */
  private report(error: unknown): void {
    if (error !== TOO_SOON && error !== this.lastFailure) {
      this.lastFailure = error;
      log.warn({ err: error }, 'the keys of the external issuer cannot be fetched');
    }
  }
}
