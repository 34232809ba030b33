import { normalizeIP } from '@fastify/rate-limit';

/** Addresses in proxy headers are cut at this length: no IP address is longer. */
const LONGEST_ADDRESS = 64;
const IPV6_PREFIX = 64;

declare module 'fastify' {
  interface FastifyRequest {
    /** The origin for rate limits and for keys without a user: see `networkOf`. */
    network: string;
  }
}

/**
 * An IPv4 address, even if written as IPv6, or the /64 of an IPv6 address, because one owner usually has the whole /64.
 * `unknown` if the caller has hung up.
 */
export function networkOf(address: string | undefined): string {
  return normalizeIP((address ?? 'unknown').slice(0, LONGEST_ADDRESS), IPV6_PREFIX);
}
