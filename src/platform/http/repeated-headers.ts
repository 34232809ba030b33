import type { FastifyInstance } from 'fastify';
import { type FieldError, ValidationFailed } from '../errors/domain-errors';

/** If these are repeated, Node silently keeps the first, while a proxy in front may have used another. */
const GIVEN_ONCE = ['host', 'authorization', 'content-type'];

/** Refuses ambiguous requests, after the onRequest hooks, which count them. */
export function refuseRepeatedHeaders(server: FastifyInstance): void {
  server.addHook('preParsing', ({ raw }, _reply, _payload, done) => {
    const errors = repeatedIn(raw.rawHeaders);
    done(errors.length > 0 ? new ValidationFailed(...errors) : null);
  });
}

/** @param headers names and values alternating, as sent */
function repeatedIn(headers: readonly string[]): FieldError[] {
  const names = headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  return GIVEN_ONCE.filter((name) => names.indexOf(name) !== names.lastIndexOf(name)).map((field) => ({
    field,
    message: `the header ${field} must be given once`,
  }));
}
