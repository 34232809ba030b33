import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { createTransport, type SendMailOptions } from 'nodemailer';
import { AppConfig } from '../../platform/config/app-config';
import type { RenderedLetter } from './templates/letter';

const DEVELOPMENT_SENDER = 'Holdfast <holdfast@localhost>';
const CONNECT_MS = 10_000;
const SILENCE_MS = 20_000;
const SEND_MS = 30_000;

/** So many are sent at once, each over a connection of its own. */
export const MAILS_AT_ONCE = 5;

export interface OutgoingMail extends RenderedLetter {
  readonly eventId: string;
  readonly recipient: string;
  readonly date: Date;
}

type Send = (message: SendMailOptions, eventId: string) => Promise<unknown>;

/** Where mails go: to the server of the settings, without one to files in development, and nowhere in production. */
@Injectable()
export class MailTransport implements BeforeApplicationShutdown {
  private readonly deliver: Send | undefined;
  private readonly sender: string;
  private close = (): void => undefined;

  constructor({ smtpUrl, mailFrom, isProduction, dataDir }: AppConfig) {
    this.sender = mailFrom ?? DEVELOPMENT_SENDER;
    if (smtpUrl !== undefined) {
      this.deliver = this.throughServer(smtpUrl);
    } else if (!isProduction) {
      this.deliver = intoFiles(join(dataDir, 'mail'));
    }
  }

  /** Whether mails are sent, or written to files, at all. */
  get isOn(): boolean {
    return this.deliver !== undefined;
  }

  /**
   * Sends a mail; when this returns, the server has taken it. Of one event it always has the same Message-ID, by which a mail
   * that was sent twice is known. Ends after half a minute, or when the signal says so.
   * @throws an error with the `code` of nodemailer and, if the server refused it, its `responseCode`
   */
  async send({ eventId, recipient, ...letter }: OutgoingMail, brokenOff: AbortSignal): Promise<void> {
    const domain = /@([^@>]+)>?$/.exec(this.sender)![1]!;
    await this.deliver!(
      {
        ...letter,
        from: this.sender,
        to: { name: '', address: recipient },
        messageId: `<${eventId}@${domain}>`,
        headers: { 'Auto-Submitted': 'auto-generated' },
        disableFileAccess: true,
        disableUrlAccess: true,
        signal: AbortSignal.any([brokenOff, AbortSignal.timeout(SEND_MS)]),
      },
      eventId,
    );
  }

  /** After the jobs have ended. */
  beforeApplicationShutdown(): void {
    this.close();
  }

  private throughServer(smtpUrl: string): Send {
    const { hostname, password, href } = withoutLogging(smtpUrl);
    const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
    const server = createTransport({
      ...{ pool: true, maxConnections: MAILS_AT_ONCE, maxRequeues: 1, url: href },
      ...{ connectionTimeout: CONNECT_MS, greetingTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
      // A password goes over a network with TLS only. On this machine TLS is of no use.
      ...{ requireTLS: password !== '' && !isHere, ignoreTLS: isHere },
    });
    this.close = () => server.close();
    return (message) => server.sendMail(message);
  }
}

/** In a file for each, which any mail program shows. */
function intoFiles(folder: string): Send {
  const composer = createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
  return async (message, eventId) => {
    const composed = await composer.sendMail(message);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${eventId}.eml`), composed.message as Buffer);
  };
}

/** nodemailer takes options from the address too. Its own log would write whole mails beside ours. */
function withoutLogging(smtpUrl: string): URL {
  const url = new URL(smtpUrl);
  ['logger', 'debug', 'transactionLog'].forEach((option) => url.searchParams.delete(option));
  return url;
}
