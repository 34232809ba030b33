import { connect } from 'node:net';
import fc, { type Arbitrary } from 'fast-check';

/** The path of a request that is hidden in another; whoever answers for it was made to see two where there is one. */
export const SMUGGLED = '/api/smuggled';
const HIDDEN = `GET ${SMUGGLED} HTTP/1.1\r\nHost: x\r\n\r\n`;
const LONGEST_ANSWER_MS = 5_000;

const get = (...headers: string[]): string => `GET /health/live HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`;
const post = (body: string, ...headers: string[]): string =>
  `POST /api/auth/login HTTP/1.1\r\n${['Host: x', 'Content-Type: application/json', ...headers].join('\r\n')}\r\n\r\n${body}`;
const twice = (name: string): string => post('{}', 'Content-Length: 2', `${name}: x`, `${name}: x`);
const chunked = (body: string, ...headers: string[]): string => post(body, 'Transfer-Encoding: chunked', ...headers);

/** Requests that no server may read as well-formed. */
export const MALFORMED: Record<string, string> = {
  'both lengths': post(`0\r\n\r\n${HIDDEN}`, 'Content-Length: 5', 'Transfer-Encoding: chunked'),
  'both lengths, the other way round': chunked(`0\r\n\r\n${HIDDEN}`, `Content-Length: ${HIDDEN.length + 5}`),
  'two lengths': post(`{}${HIDDEN}`, 'Content-Length: 2', `Content-Length: ${HIDDEN.length + 2}`),
  'a list of lengths': post(`{}${HIDDEN}`, `Content-Length: 2, ${HIDDEN.length + 2}`),
  'a negative length': post('{}', 'Content-Length: -2'),
  'a signed length': post('{}', 'Content-Length: +2'),
  'a length in hexadecimal': post('{}', 'Content-Length: 0x2'),
  'a length with a point': post('{}', 'Content-Length: 2.0'),
  'an endless length': post('{}', `Content-Length: ${'9'.repeat(40)}`),
  'a folded length': post('{}', 'Content-Length:\r\n 2'),
  'a space before the colon': post(`{}${HIDDEN}`, 'Content-Length : 2'),
  'chunked twice': post(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding: chunked', 'Transfer-Encoding: identity'),
  'chunked in disguise': post(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding: xchunked'),
  'chunked after a tab': post(`0\r\n\r\n${HIDDEN}`, 'Transfer-Encoding:\u000bchunked'),
  'a chunk of no size': chunked(`\r\n{}\r\n0\r\n\r\n`),
  'a chunk of a wrong size': chunked(`g\r\n{}\r\n0\r\n\r\n`),
  'a chunk of a negative size': chunked(`-2\r\n{}\r\n0\r\n\r\n`),
  'a chunk of an endless size': chunked(`${'f'.repeat(20)}\r\n{}\r\n0\r\n\r\n`),
  'a chunk longer than it says': chunked(`1\r\n{}\r\n0\r\n\r\n`),
  'a chunk with bare line feeds': chunked(`2\n{}\n0\n\n${HIDDEN}`),
  'a chunk with an endless extension': chunked(`2;${'x'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`),
  'an endless trailer': chunked(`2\r\n{}\r\n0\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`),
  'two hosts': twice('Host'),
  'two tokens': twice('Authorization'),
  'two types': twice('Content-Type'),
  'a path that cannot be decoded': get('Host: x').replace('live', '%zz'),
  'a body that ends early': post('{', 'Content-Length: 20'),
  'a chunk that ends early': chunked('5\r\n{'),
  'a head that ends early': 'GET /health/live HTTP/1.1\r\nHost:',
  'a version to come': 'GET /health/live HTTP/3.0\r\n\r\n',
  'a method that nobody knows': 'STEAL /health/live HTTP/1.1\r\nHost: x\r\n\r\n',
  'a method in lower case': 'get /health/live HTTP/1.1\r\nHost: x\r\n\r\n',
  'spaces in the path': 'GET /health live HTTP/1.1\r\nHost: x\r\n\r\n',
  'a control character in the path': 'GET /health/\u0001live HTTP/1.1\r\nHost: x\r\n\r\n',
  'a path of 20,000 characters': `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  'a header of 20,000 characters': get(`X: ${'x'.repeat(20_000)}`),
  '3,000 headers': get(...Array.from({ length: 3000 }, (_, index) => `X-${index}: y`)),
  'a header without a name': get(': x'),
  'a header without a colon': get('Host x'),
  'a name with a space': get('X Y: z'),
  'a name in UTF-8': get('X-\u00e4: z'),
  'NUL in a header': get('X: a\u0000b'),
  'a bare carriage return in a header': get('X: a\rb'),
  'an escape character in a header': get('X-Request-Id: \u001b[31m'),
  'the greeting of TLS': '\u0016\u0003\u0001\u0000\u00a5\u0001\u0000\u0000\u00a1\u0003\u0003',
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'another protocol': 'EHLO example.com\r\n',
  'an answer': 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
};

const SEEDS = [get('Host: x'), post('{"email":"a"}', 'Content-Length: 13'), chunked('2\r\n{}\r\n0\r\n\r\n')];
const BITS = [
  '\r',
  '\n',
  '\r\n\r\n',
  '\u0000',
  ' ',
  ':',
  '\t',
  '\u00ff',
  'Content-Length: 3\r\n',
  '0',
  HIDDEN,
  '"',
  '%',
];

/** Well-formed requests, a few places of which were cut, doubled or overwritten. */
export const almostHttp: Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(...SEEDS),
    fc.array(fc.tuple(fc.nat(), fc.nat(8), fc.constantFrom('', '', ...BITS)), { minLength: 1, maxLength: 3 }),
  )
  .map(([seed, changes]) =>
    changes.reduce((text, [place, length, bit]) => {
      const at = place % text.length;
      return text.slice(0, at) + bit + text.slice(at + length);
    }, seed),
  );

/** Everything that comes back for these bytes until the connection ends, as text. */
export function exchangeRaw(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.end(Buffer.from(bytes, 'latin1')));
    let received = '';
    socket.setTimeout(LONGEST_ANSWER_MS, () => socket.destroy(new Error('the connection stays open')));
    socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
    // A server may cut off a client that goes on sending; what it said before counts.
    socket.on('error', (error: NodeJS.ErrnoException) =>
      ['ECONNRESET', 'EPIPE'].includes(error.code!) ? resolve(received) : reject(error),
    );
    socket.on('close', () => resolve(received));
  });
}

export interface RawAnswer {
  status: number;
  head: string;
  body: string;
}

/** @throws Error if it is anything but whole HTTP answers, one after the other */
export function answersIn(received: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = received; rest !== '';) {
    const [, head, status, after] = /^(HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n(?:[^\r\n]+\r\n)*)\r\n([^]*)$/.exec(rest) ?? [];
    const length = Number(/^content-length: (\d+)\r$/im.exec(head ?? '')?.[1] ?? (status === '100' ? 0 : NaN));
    if (head === undefined || !(after!.length >= length)) {
      throw new Error(`No whole HTTP answer: ${JSON.stringify(rest.slice(0, 500))}`);
    }
    answers.push({ status: Number(status), head, body: after!.slice(0, length) });
    rest = after!.slice(length);
  }
  return answers;
}
