import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Reply } from './api';

export interface Written {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  /** A string is sent as it is, whatever it is; anything else as JSON. */
  body?: unknown;
}

/** Connections are used again, as most clients do: to open one for each request is slow. */
const agent = new Agent({ keepAlive: true });

/**
 * Sends what other clients would not: unusual methods, and a path that is not tidied up first (`..` and `#` stay, an
 * absolute URL is sent whole).
 */
export async function sendAsWritten(
  url: string,
  { method = 'GET', path, headers = {}, body }: Written,
): Promise<Reply> {
  const { hostname, port } = new URL(url);
  const isJson = body !== undefined && typeof body !== 'string';
  const type = isJson ? { 'Content-Type': 'application/json' } : {};
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ hostname, port, method, path, headers: { ...type, ...headers }, agent }, resolve)
      .on('error', reject)
      .end(isJson ? JSON.stringify(body) : body);
  });
  const answer = await text(response);
  return {
    status: response.statusCode!,
    headers: response.headers as Reply['headers'],
    text: answer,
    body: /json/.test(response.headers['content-type'] ?? '') && answer !== '' ? JSON.parse(answer) : {},
  };
}
