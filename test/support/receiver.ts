import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface Received {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  // What the event says is for the tests to look at.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly event: any;
}

type Answer = (response: ServerResponse, received: Received) => unknown;

/** A receiver of webhooks: a real HTTP server, which notes what it gets, and answers as it is told to. */
export class Receiver {
  readonly received: Received[] = [];
  /** By default it takes everything. */
  answer: Answer = (response) => response.writeHead(204).end();

  private constructor(private readonly server: Server) {
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.take(request, response));
  }

  static async start(): Promise<Receiver> {
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    return new Receiver(server);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/webhooks`;
  }

  /** What it answered with success, in its order. */
  readonly taken: Received[] = [];

  /** The ids of the events that came, in their order. */
  get ids(): string[] {
    return this.received.map(({ headers }) => headers['webhook-id']!);
  }

  /** From now on it answers with this status. */
  answers(status: number, headers: Record<string, string> = {}, body = ''): void {
    this.answer = (response) => response.writeHead(status, headers).end(body);
  }

  onConnection(listener: () => unknown): void {
    this.server.on('connection', listener);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const received = {
      path: `${request.method} ${request.url}`,
      headers: request.headers as Record<string, string>,
      body,
      event: JSON.parse(body),
    };
    this.received.push(received);
    response.once('finish', () => {
      if (response.statusCode < 300) {
        this.taken.push(received);
      }
    });
    this.answer(response, received);
  }
}

/** What Standard Webhooks says a signature is, written once more from its text. */
export function signatureOf({ headers, body }: Received, secret: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
}
