import { normalizeIP } from '@fastify/rate-limit';

/** Of an address that a proxy names, more is not looked at: no IP address has more characters. */
const LONGEST_ADDRESS = 64;
const IPV6_PREFIX = 64;

declare module 'fastify' {
  interface FastifyRequest {
    /** Where it comes from, in the eyes of limits and of keys without a user: see `networkOf`. */
    network: string;
  }
}

/**
 * An IPv4 address, also one that is written as IPv6, or the /64 of an IPv6 one: who has one address of these has them
 * all. `unknown` if the caller has hung up.
 */
export function networkOf(address: string | undefined): string {
  return normalizeIP((address ?? 'unknown').slice(0, LONGEST_ADDRESS), IPV6_PREFIX);
}
