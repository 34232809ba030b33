import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** A mail as a server has taken it. */
export interface ReceivedMail {
  readonly from: string;
  readonly to: string[];
  readonly headers: Record<string, string>;
  readonly text: string;
  readonly html: string;
}

type Command = 'RCPT' | 'DATA';

/** A real SMTP server on this machine, which takes what it gets unless it is told otherwise. */
export class MailServer {
  readonly mails: ReceivedMail[] = [];
  /** Users and passwords that logged in. */
  readonly logins: string[] = [];
  private readonly refusals: { command: Command; code: number }[] = [];
  private waiting: (() => void)[] | undefined;

  private constructor(private readonly server: SMTPServer) {}

  static async start(options: SMTPServerOptions = {}): Promise<MailServer> {
    const server: SMTPServer = new SMTPServer({
      ...{ authOptional: true, disabledCommands: ['STARTTLS'], allowInsecureAuth: true, logger: false },
      onAuth: ({ username, password }, _session, done) => {
        own.logins.push(`${username}:${password}`);
        done(null, { user: username });
      },
      onRcptTo: (_address, _session, done) => done(own.refusalOf('RCPT')),
      onData: (stream, { envelope: { mailFrom, rcptTo } }, done) => {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          const refusal = own.refusalOf('DATA');
          if (!refusal) {
            const envelope = { from: mailFrom ? mailFrom.address : '', to: rcptTo.map(({ address }) => address) };
            own.mails.push({ ...envelope, ...parsedMail(Buffer.concat(chunks).toString()) });
          }
          void own.mayAnswer().then(() => done(refusal));
        });
      },
      ...options,
    });
    const own = new MailServer(server);
    // Who is killed in the middle of a mail resets the connection.
    server.on('error', () => undefined);
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    return own;
  }

  get url(): string {
    return `smtp://127.0.0.1:${(this.server.server.address() as AddressInfo).port}`;
  }

  /** Refuses the next mail, with this code, at this command. */
  refuseNext(command: Command, code: number): void {
    this.refusals.push({ command, code });
  }

  /** Takes mails from now on, but does not say so before it is told to. */
  hang(): void {
    this.waiting = [];
  }

  answer(): void {
    this.waiting?.forEach((go) => go());
    this.waiting = undefined;
  }

  stop(): Promise<void> {
    this.answer();
    return new Promise((closed) => this.server.close(closed));
  }

  private refusalOf(command: Command): Error | null {
    const index = this.refusals.findIndex((refusal) => refusal.command === command);
    const [refusal] = index < 0 ? [] : this.refusals.splice(index, 1);
    return refusal ? Object.assign(new Error('not now'), { responseCode: refusal.code }) : null;
  }

  private mayAnswer(): Promise<void> {
    const { waiting } = this;
    return waiting ? new Promise((go) => waiting.push(go)) : Promise.resolve();
  }
}

/** The headers and the two parts of a mail as nodemailer writes it. */
export function parsedMail(raw: string): Omit<ReceivedMail, 'from' | 'to'> {
  const [head, body] = halves(raw);
  const headers = headersOf(head);
  const boundary = /boundary="([^"]+)"/.exec(headers['content-type']!)![1]!;
  const parts = body
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => halves(part.replace(/^\r\n/, '')));
  const [text, html] = ['text/plain', 'text/html'].map((type) => {
    const [partHead, content] = parts.find(([one]) => headersOf(one)['content-type']?.startsWith(type))!;
    return decoded(content, headersOf(partHead)['content-transfer-encoding']!);
  });
  return { headers, text: text!, html: html! };
}

function halves(message: string): [head: string, body: string] {
  const end = message.indexOf('\r\n\r\n');
  return [message.slice(0, end), message.slice(end + 4)];
}

function headersOf(head: string): Record<string, string> {
  const lines = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n');
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), wordsOf(line.slice(colon + 1).trim())];
    }),
  );
}

/** Encoded words of a header, as RFC 2047 has them. */
function wordsOf(value: string): string {
  return value
    .replace(/\?= =\?/g, '?==?')
    .replace(/=\?utf-8\?([bq])\?([^?]*)\?=/gi, (_, encoding: string, text: string) =>
      encoding.toLowerCase() === 'b' ? Buffer.from(text, 'base64').toString() : quoted(text.replaceAll('_', ' ')),
    );
}

function decoded(content: string, encoding: string): string {
  const text =
    encoding === 'base64'
      ? Buffer.from(content, 'base64').toString()
      : encoding === 'quoted-printable'
        ? quoted(content.replaceAll('=\r\n', ''))
        : content;
  return text.replaceAll('\r\n', '\n');
}

function quoted(text: string): string {
  const bytes = text.replace(/=([\dA-F]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}
