import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import secureJson from 'secure-json-parse';
import { MalformedJson, ValidationFailed } from '../errors/domain-errors';
import { shapeFault } from './body-shape';

/** Reads bodies as JSON in UTF-8, and refuses all others: none is guessed at, and none reaches for a prototype. */
export function readJsonBodies(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, body.length === 0 ? undefined : parse(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

/** @throws MalformedJson, ValidationFailed */
function parse(body: Buffer): unknown {
  // Read as text at once, every wrong byte would become U+FFFD unseen.
  if (!isUtf8(body)) {
    throw new MalformedJson('The body is not UTF-8');
  }
  const fault = shapeFault(body);
  if (fault !== undefined) {
    throw new ValidationFailed({ field: 'body', message: `body ${fault}` });
  }
  try {
    return secureJson.parse(body.toString(), null, { protoAction: 'error', constructorAction: 'error' });
  } catch (error) {
    throw new MalformedJson(`The body is not JSON: ${(error as Error).message}`);
  }
}
