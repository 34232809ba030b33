import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Reply } from './api';

export interface Written {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: object;
}

/**
 * Sends what other clients would not: unusual methods, and a path that is not tidied up first (`..` and `#` stay, an
 * absolute URL is sent whole).
 */
export async function sendAsWritten(
  url: string,
  { method = 'GET', path, headers = {}, body }: Written,
): Promise<Reply> {
  const { hostname, port } = new URL(url);
  const type = body === undefined ? {} : { 'Content-Type': 'application/json' };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ hostname, port, method, path, headers: { ...type, ...headers }, agent: false }, resolve)
      .on('error', reject)
      .end(body && JSON.stringify(body));
  });
  const answer = await text(response);
  return {
    status: response.statusCode!,
    headers: response.headers as Reply['headers'],
    text: answer,
    body: /json/.test(response.headers['content-type'] ?? '') && answer !== '' ? JSON.parse(answer) : {},
  };
}
