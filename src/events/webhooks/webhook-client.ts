import http, { type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import https from 'node:https';
import { Injectable } from '@nestjs/common';
import { RequestFilteringHttpAgent, RequestFilteringHttpsAgent } from 'request-filtering-agent';
import { AppConfig } from '../../platform/config/app-config';
import { ValidationFailed } from '../../platform/errors/domain-errors';
import { log } from '../../platform/logging/logger';

const LOOPBACK = ['127.0.0.1', '::1'];
/** So much of an answer is read, and so much of it kept, in bytes. */
const MOST_READ = 64 * 1024;
const MOST_KEPT = 1024;
const LONGEST_ERROR = 300;

/** What came of a request: a status, or else an error. */
export interface WebhookReply {
  readonly status: number | null;
  readonly error: string | null;
  /** The header. */
  readonly retryAfter?: string;
  /** The beginning of the answer. */
  readonly responseHead: string | null;
  readonly durationMs: number;
}

/**
 * Sends requests to addresses that others have chosen. Connects to public unicast addresses only, judged when it connects,
 * so that no name can resolve to something else than was looked at; follows no redirect.
 */
@Injectable()
export class WebhookClient {
  /** How long it may take to connect, and all in all. */
  readonly patience = { connectMs: 5_000, totalMs: 15_000 };
  private readonly agents: { readonly 'http:': http.Agent; readonly 'https:': https.Agent };
  private readonly open = new Set<http.ClientRequest>();
  private hasWarned = false;

  constructor(private readonly config: AppConfig) {
    const options = { allowIPAddressList: config.isProduction ? [] : LOOPBACK };
    this.agents = {
      'http:': new RequestFilteringHttpAgent(options),
      'https:': new RequestFilteringHttpsAgent(options),
    };
  }

  /** Why webhooks are not sent to such an address; undefined if they are. What it resolves to is judged at each request. */
  refusalOf(url: string): string | undefined {
    const { protocol, hostname } = new URL(url);
    const mustBeSecure = this.config.isProduction && !this.isOurs(hostname);
    return mustBeSecure && protocol !== 'https:'
      ? 'must begin with https://; http:// only for hosts in WEBHOOK_ALLOWED_HOSTS'
      : undefined;
  }

  /** @throws ValidationFailed for the field `url` */
  assertAllowed(url: string | undefined): void {
    const refusal = url === undefined ? undefined : this.refusalOf(url);
    if (refusal !== undefined) {
      throw new ValidationFailed({ field: 'url', message: `url ${refusal}` });
    }
  }

  /** Posts a body. Failures are part of the reply. */
  async post(url: string, headers: OutgoingHttpHeaders, body: string): Promise<WebhookReply> {
    const startedAt = performance.now();
    const ended = (): number => Math.round(performance.now() - startedAt);
    try {
      const response = await this.request(new URL(url), headers, body);
      const responseHead = await headOf(response);
      const retryAfter = response.headers['retry-after'];
      return { status: response.statusCode!, error: null, retryAfter, responseHead, durationMs: ended() };
    } catch (error) {
      return { status: null, error: textOf(error), responseHead: null, durationMs: ended() };
    }
  }

  /** Breaks off the requests that are under way. */
  stop(): void {
    this.open.forEach((request) => request.destroy(new Error('The service is stopping')));
  }

  private request(target: URL, headers: OutgoingHttpHeaders, body: string): Promise<IncomingMessage> {
    const isSecure = target.protocol === 'https:';
    const { connectMs, totalMs } = this.patience;
    return new Promise((resolve, reject) => {
      const request = (isSecure ? https : http).request(target, {
        ...{ method: 'POST', agent: this.agentFor(target) },
        headers: { ...headers, 'Content-Length': Buffer.byteLength(body) },
      });
      this.open.add(request);
      const giveUpAfter = (ms: number, what: string): NodeJS.Timeout =>
        setTimeout(() => request.destroy(new Error(`${what} within ${ms / 1000} s`)), ms);
      const connecting = giveUpAfter(connectMs, 'No connection');
      const answering = giveUpAfter(totalMs, 'No answer');
      request.on('socket', (socket) => {
        socket.once(isSecure ? 'secureConnect' : 'connect', () => clearTimeout(connecting));
      });
      request.on('response', resolve).on('error', reject);
      request.on('close', () => {
        this.open.delete(request);
        clearTimeout(connecting);
        clearTimeout(answering);
        reject(new Error('The connection was closed without an answer'));
      });
      request.end(body);
    });
  }

  private agentFor({ protocol, hostname }: URL): http.Agent | false {
    if (this.isOurs(hostname)) {
      return false;
    }
    if (!this.config.isProduction && !this.hasWarned) {
      this.hasWarned = true;
      log.warn('webhooks may be sent to this machine, because NODE_ENV is not production');
    }
    return this.agents[protocol as 'http:' | 'https:'];
  }

  private isOurs(hostname: string): boolean {
    return this.config.webhookAllowedHosts.includes(hostname);
  }
}

/** If the rest does not arrive, that does not matter: the status has come. */
async function headOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response) {
      chunks.push(chunk as Buffer);
      size += (chunk as Buffer).length;
      if (size >= MOST_READ) {
        break;
      }
    }
  } catch {
    // As if it ended here.
  }
  // PostgreSQL has no text with NUL.
  return Buffer.concat(chunks).toString('utf8', 0, MOST_KEPT).replaceAll('\0', '');
}

function textOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException;
  return (message || code || 'The request failed').replaceAll('\0', '').slice(0, LONGEST_ERROR);
}
