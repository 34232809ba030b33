import { randomUUID } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import type { authorizations } from './callers';
import type { Call } from './calls';
import { Fields, Known, UNKNOWN_ID, type Value, Verbatim } from './values';

const LONGEST_ANSWER_MS = 5_000;
/** So many of the things that were made last are asked for again: the older ones have come to their end. */
const FRESH = 4;

/** What went out. */
export interface Sent {
  readonly call: Call;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body?: string;
}

export interface Answered {
  readonly status: number;
  readonly headers: Record<string, string | undefined>;
  readonly text: string;
}

/** Makes calls, and remembers what they made, so that later ones can ask for it. */
export class Client {
  private readonly known = new Map<string, string[]>();
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1 });
  private readonly host: URL;

  constructor(
    url: string,
    private readonly tokens: ReturnType<typeof authorizations>,
  ) {
    this.host = new URL(url);
  }

  remember(kind: string, value: string): void {
    const others = (this.known.get(kind) ?? []).filter((other) => other !== value);
    this.known.set(kind, [value, ...others].slice(0, FRESH));
  }

  knows(kind: string): boolean {
    return this.known.has(kind);
  }

  /** Fills in what is only known now. */
  prepare(call: Call): Sent {
    const { operation, method, suffix, edit = (json: string) => json, spelling = (path: string) => path } = call;
    const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => this.inUrl(call.path[name]!) ?? UNKNOWN_ID);
    const query = call.query.flatMap(([name, value]) => {
      const written = this.inUrl(value);
      return written === undefined ? [] : [`${this.inUrl(name)}=${written}`];
    });
    const target = `${spelling(path + suffix)}${query.length > 0 ? `?${query.join('&')}` : ''}`;
    const body = call.body === undefined ? undefined : wellFormed(edit(this.json(call.body)));
    return { call, method, target, headers: this.headers(call, body), body };
  }

  /** @throws Error if there is no whole answer in time */
  async send({ method, target, headers, body }: Sent): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const sending = httpRequest(
        {
          ...{ host: this.host.hostname, port: this.host.port, agent: this.agent },
          ...{ method, path: target, headers: headers.flat(), timeout: LONGEST_ANSWER_MS },
        },
        (response) => {
          const received = Object.fromEntries(
            Object.entries(response.headers).map(([name, value]) => [name, [value].flat().join(', ')]),
          );
          const answer = (all: string): void => resolve({ status: response.statusCode!, headers: received, text: all });
          if (method !== 'HEAD' && received['content-type']?.startsWith('text/event-stream')) {
            // It has no end: its beginning has to do.
            response.once('data', (chunk: Buffer) => {
              answer(chunk.toString());
              sending.destroy();
            });
          } else {
            text(response).then(answer, reject);
          }
        },
      );
      sending.on('timeout', () => sending.destroy(new Error(`no answer within ${LONGEST_ANSWER_MS} ms`)));
      sending.on('error', reject);
      sending.end(body);
    });
  }

  close(): void {
    this.agent.destroy();
  }

  private headers({ method, caller, headers, isChunked }: Call, body?: string): [string, string][] {
    const given = headers.map(([name, value]): [string, string] => [name, headerText(this.plain(value))]);
    const hasType = given.some(([name]) => name.toLowerCase() === 'content-type');
    const isBare = body === undefined && (method === 'GET' || method === 'HEAD');
    const length = String(Buffer.byteLength(body ?? ''));
    const all: [string, string | undefined][] = [
      ['Host', this.host.host],
      ['Content-Type', body === undefined || hasType ? undefined : 'application/json'],
      ['Authorization', this.tokens[caller]],
      ...given,
      isChunked ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', isBare ? undefined : length],
    ];
    return all.filter((header): header is [string, string] => header[1] !== undefined);
  }

  private inUrl(value: Value): string | undefined {
    if (value instanceof Verbatim) {
      return value.text;
    }
    const plain = this.plain(value);
    // encodeURIComponent refuses half a surrogate pair, which some clients write all the same.
    return plain && wellFormed(plain).replace(/[^]+/, encodeURIComponent);
  }

  private plain(value: Value): string | undefined {
    if (value instanceof Known) {
      return this.find(value);
    }
    return typeof value === 'string' ? value : this.json(value);
  }

  private find({ kind, pick }: Known): string | undefined {
    if (kind.toLowerCase() === 'fresh') {
      return kind === 'fresh' ? randomUUID() : randomUUID().toUpperCase();
    }
    const things = this.known.get(kind) ?? [];
    return things[pick % things.length] ?? (kind.startsWith('cursor') ? undefined : UNKNOWN_ID);
  }

  private json(value: Value): string {
    if (value instanceof Verbatim) {
      return value.text;
    }
    if (value instanceof Fields) {
      return `{${value.entries.map(([name, one]) => `${JSON.stringify(name)}:${this.json(one)}`).join(',')}}`;
    }
    if (Array.isArray(value)) {
      return `[${value.map((one: Value) => this.json(one)).join(',')}]`;
    }
    return JSON.stringify(value instanceof Known ? this.find(value) : value);
  }
}

/** The same request for a shell, and where it is long, with the length instead. */
export function asCurl({ method, target, headers, body, call }: Sent): string {
  const quote = (part: string): string =>
    `'${part.length > 400 ? `${part.slice(0, 400)}…[${part.length} characters]` : part}'`.replace(
      /[^\x20-\x7e…]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  const shown = headers.map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`);
  const data = body === undefined ? [] : [`--data-binary ${quote(body)}`];
  return [`curl -X ${method} --path-as-is ${quote(target)} # as ${call.caller}`, ...shown, ...data].join(' \\\n    ');
}

/** As it goes out in UTF-8, which has no half of a surrogate pair. */
function wellFormed(text: string): string {
  return text.replace(/\p{Cs}/gu, '\ufffd');
}

/** What Node lets a client send in a header; the rest goes over bare sockets. */
function headerText(text = ''): string {
  return text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '?');
}
