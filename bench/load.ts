import { connect, type Socket } from 'node:net';
import { Recorder, type Sample } from './statistics';

export interface Duration {
  warmUpSeconds: number;
  seconds: number;
}

/** Runs one operation per call, and returns its outcome. */
export type Worker = () => Promise<string>;

/** Runs workers in parallel, each as fast as it can, and measures them; one step counts as `size` operations. */
export async function measure(
  workers: readonly Worker[],
  { warmUpSeconds, seconds }: Duration,
  size = 1,
): Promise<Sample> {
  const begin = performance.now();
  const end = begin + (warmUpSeconds + seconds) * 1000;
  const recorder = new Recorder(begin + warmUpSeconds * 1000);
  const run = async (worker: Worker): Promise<void> => {
    for (let startedAt = performance.now(); startedAt < end; startedAt = performance.now()) {
      recorder.record(await worker(), startedAt);
    }
  };
  await Promise.all(workers.map(run));
  return recorder.sample(seconds, size);
}

interface Answer {
  readonly status: string;
  readonly body: Buffer;
}

/**
 * One kept-alive HTTP connection that speaks just enough of the protocol for answers with a Content-Length. It costs a
 * fraction of an HTTP client, which matters because the load generator shares the machine with the service.
 */
export class Connection {
  private received: Buffer = Buffer.alloc(0);
  private pending?: { resolve: (answer: Answer) => void; reject: (error: Error) => void };

  private constructor(private readonly socket: Socket) {
    socket.on('data', (chunk) => this.take(chunk));
    socket.on('error', (error) => this.pending?.reject(error));
    socket.on('close', () => this.pending?.reject(new Error('The server closed the connection')));
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(new Connection(socket)));
      socket.once('error', reject);
    });
  }

  /** Sends a whole request and resolves with the status of its answer. */
  async send(request: Buffer): Promise<string> {
    return (await this.ask(request)).status;
  }

  ask(request: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.pending = { resolve, reject };
      this.socket.write(request);
    });
  }

  close(): void {
    this.pending = undefined;
    this.socket.destroy();
  }

  private take(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    const endOfHead = this.received.indexOf('\r\n\r\n');
    if (endOfHead === -1) {
      return;
    }
    const head = this.received.toString('latin1', 0, endOfHead);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    if (this.received.length >= endOfHead + 4 + length) {
      const body = this.received.subarray(endOfHead + 4);
      this.received = Buffer.alloc(0);
      this.pending?.resolve({ status: head.slice(9, 12), body });
    }
  }
}

/** The bytes of a request, with a JSON body if there is one. */
export function requestOf(method: 'POST' | 'PATCH', path: string, token: string, body?: object): Buffer {
  const json = body === undefined ? '' : JSON.stringify(body);
  const type = body === undefined ? '' : 'Content-Type: application/json\r\n';
  return Buffer.from(
    `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n` +
      `${type}Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
  );
}
