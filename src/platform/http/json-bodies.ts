import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import secureJson from 'secure-json-parse';
import { MalformedJson, UnsupportedMediaType, ValidationFailed } from '../errors/domain-errors';
import { shapeFault } from './body-shape';

/** The values of these headers that leave the body as it is. */
const PLAIN = { 'content-encoding': 'identity', 'transfer-encoding': 'chunked' };
const UTF_8 = /^"?utf-?8"?$/i;
const CHARSET = /;\s*charset\s*=\s*([^;]*)/gi;

/** Reads bodies as JSON in UTF-8 and refuses all others, without guessing encodings and without prototype pollution. */
export function readJsonBodies(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, ({ headers }, body, done) => {
    try {
      assertPlainUtf8(headers);
      done(null, body.length === 0 ? undefined : parse(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

/** @throws UnsupportedMediaType */
function assertPlainUtf8(headers: IncomingHttpHeaders): void {
  for (const [header, plain] of Object.entries(PLAIN)) {
    const codings = String(headers[header] ?? '').split(',');
    const coding = codings.map((one) => one.trim()).find((one) => one !== '' && one.toLowerCase() !== plain);
    if (coding !== undefined) {
      throw new UnsupportedMediaType(`The body must be sent as it is, not with ${header} ${coding}`);
    }
  }
  const charsets = [...headers['content-type']!.matchAll(CHARSET)].map(([, charset]) => charset!.trim());
  const charset = charsets.find((one) => !UTF_8.test(one));
  if (charset !== undefined) {
    throw new UnsupportedMediaType(`The charset of the body must be UTF-8, not ${charset}`);
  }
}

/** @throws MalformedJson, ValidationFailed */
function parse(body: Buffer): unknown {
  // Decoding first would silently turn every invalid byte into U+FFFD.
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
