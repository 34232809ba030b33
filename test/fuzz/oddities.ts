import { Known } from './values';

/** A change of the text that the body has become. */
export type Edit = (text: string) => string;
/** Another way to write a path that means the same. */
export type Spelling = (path: string) => string;

export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY'];

export const HEADERS: Record<string, (string | Known)[]> = {
  'Idempotency-Key': ['', ' ', 'a b', 'ä', '"quoted"', 'x'.repeat(255), 'x'.repeat(256), '\u007f', 'a\tb', 'key,key'],
  'If-Match': ['*', '"1"', '1', 'W/"1"', '"x"', '"1", "2"', '', ',', '"99999999999"', '-1', '"1e0"', '1'.repeat(3000)],
  'X-Request-Id': [new Known('fresh', 0), new Known('FRESH', 0), '', 'x', 'a\tb', 'x'.repeat(4000), '\u009b31m'],
  'Content-Type': [
    ...[
      'application/json; charset=utf-8',
      'application/json;charset=UTF-16',
      'application/json; charset="',
      'text/plain',
    ],
    ...['APPLICATION/JSON', 'application/json, text/plain', 'application/json;;;', 'application/problem+json', '', '/'],
    ...['multipart/form-data', 'application/x-www-form-urlencoded', 'application/json\t', 'json', ';', '\u00e4'],
  ],
  'Content-Encoding': ['gzip', 'br', 'identity', 'nonsense', 'gzip, gzip'],
  Accept: ['text/html', 'application/xml', '', ';;;', '*/*;q=0', 'x'.repeat(2000)],
  Expect: ['100-continue', 'nonsense', '', '100-continue, 200-ok'],
  'X-HTTP-Method-Override': ['DELETE', 'GET', 'POST'],
  'X-Forwarded-For': ['127.0.0.1', 'x, y, z', '::1', '\u0080'],
  'X-Forwarded-Host': ['evil.example'],
  Upgrade: ['websocket', 'h2c'],
  Range: ['bytes=0-1'],
  'If-None-Match': ['*', '"1"'],
  'If-Modified-Since': ['never'],
  Cookie: ['a=b; __proto__=c', 'x'.repeat(7000)],
  Origin: ['null', 'http://evil.example'],
  'Accept-Encoding': ['gzip', ''],
  Connection: ['close', 'Upgrade', 'Authorization'],
  'X-Very-Long': ['x'.repeat(10_000), 'x'.repeat(17_000)],
};

export const QUERY_KEYS = [
  ...['__proto__', 'constructor', 'toString', '', ' ', 'x', 'limit[]', 'limit[0]', 'q.$ne', 'status[$ne]', 'a[b][c]'],
  ...['\u0000', '\ud83d\ude00', 'LIMIT', 'limit ', 'x'.repeat(300), 'then', 'request_id\r\n'],
];
export const QUERY_TEXTS = [
  '%',
  '%zz',
  '%ff',
  '%c0%af',
  '%ed%a0%80',
  '%00',
  '%u0041',
  '+',
  '%2b',
  '=',
  'a=b',
  '%25',
  '%F0%9F',
];
export const PATH_TEXTS = [
  '%00',
  '%ff',
  '%c0%ae',
  '%2e%2e',
  '%2f',
  '%zz',
  '%',
  '%252f',
  '.',
  '..;',
  '%20',
  '*',
  ':id',
  "'",
  '\u00e4',
];
export const SUFFIXES = [
  '/',
  '//',
  '/.',
  '/..',
  '/%2e%2e',
  ';a=b',
  '%2f',
  '/x',
  '/../..',
  '#x',
  '%00',
  '.json',
  '\\',
  '?',
];

const MANY_FIELDS = Array.from({ length: 800 }, (_, index) => `"f${index}":${index}`).join();

export const EDITS: ((pick: number) => Edit)[] = [
  (pick) => (text) => text.slice(0, pick % (text.length + 1)),
  (pick) => (text) => `${text.slice(0, pick % (text.length + 1))}${text.slice((pick % (text.length + 1)) + 1)}`,
  (pick) => (text) => text.slice(0, pick % (text.length + 1)) + '\u0000' + text.slice(pick % (text.length + 1)),
  () => (text) => `\ufeff${text}`,
  () => (text) => `${text}${text}`,
  () => (text) => text.replace(/}\s*$/, ',}'),
  () => (text) => text.replace(/}\s*$/, `,${MANY_FIELDS}}`),
  () => (text) => text.replace(/^{/, `{${MANY_FIELDS},${MANY_FIELDS},`),
  () => (text) => text.replaceAll('"', "'"),
  () => (text) => text.replace(/^{/, '{"__proto__":{"role":"admin"},'),
  () => (text) => text.replace(/^{/, '{"\\u005f\\u005fproto__":{"role":"admin"},'),
  () => (text) => text.replace(/^{/, '{// comment\n'),
  () => (text) => ` \t\r\n${text}\n\n`,
  () => (text) => text + ' '.repeat(300_000),
  () => () => '',
  () => () => 'null',
];

const percentEncoded = (character: string): string => `%${character.charCodeAt(0).toString(16)}`;

export const SPELLINGS: Spelling[] = [
  (path) => path.replace(/[a-z]/, percentEncoded),
  (path) => path.replace(/[a-z](?=[^a-z]*$)/, percentEncoded),
  (path) => path.replace(/[a-z]/g, (letter) => percentEncoded(letter).toUpperCase()),
  (path) => path.replace(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, (id) => id.toUpperCase()),
  (path) => `http://x${path}`,
  (path) => `HTTPS://user@elsewhere:8080${path.replace(/\/$/, '')}/`,
];
