import type { FastifyInstance } from 'fastify';
import { type FieldError, ValidationFailed } from '../errors/domain-errors';

/** Of these Node keeps the first and drops the others unseen, while a proxy before us may have looked at another. */
const GIVEN_ONCE = ['host', 'authorization', 'content-type'];

/** Refuses requests that can be read in two ways; after the hooks of their arrival, which count them. */
export function refuseRepeatedHeaders(server: FastifyInstance): void {
  server.addHook('preParsing', ({ raw }, _reply, _payload, done) => {
    const errors = repeatedIn(raw.rawHeaders);
    done(errors.length > 0 ? new ValidationFailed(...errors) : null);
  });
}

/** @param headers names and values in turn, as they were sent */
function repeatedIn(headers: readonly string[]): FieldError[] {
  const names = headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  return GIVEN_ONCE.filter((name) => names.indexOf(name) !== names.lastIndexOf(name)).map((field) => ({
    field,
    message: `the header ${field} must be given once`,
  }));
}
