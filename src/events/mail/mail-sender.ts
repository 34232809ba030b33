import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { log } from '../../platform/logging/logger';
import { Metrics } from '../../platform/metrics/metrics';
import { EventJobs } from '../event-jobs';
import { type MailFailure, retryAfter } from './mail-retries';
import { MAILS_AT_ONCE, MailTransport } from './mail-transport';
import { type ClaimedMail, claimMails } from './mails.locks';
import { findBacklog, writeFailed, writeSent } from './mails.query';
import { letterOf } from './templates/letters';

const PAUSE_MS = 1_000;
/** Longer than sending can take. */
const LEASE_SECONDS = 120;
/** How long the process waits for mails under way before it breaks them off, when it stops. */
const LAST_MAILS_MS = 3_000;
const LONGEST_ERROR = 500;
const OUTCOMES = ['sent', 'retried', 'failed'];

/**
 * Sends the mails that are queued. Never in a transaction: a mail is taken for two minutes, sent, and its outcome written. If
 * the process is killed in between, it is sent again, with the same Message-ID.
 */
@Injectable()
export class MailSender implements OnModuleDestroy {
  private readonly outcomes: Counter;
  private readonly oldest: Gauge;
  private readonly breakOff = new AbortController();
  /** Since the last mail that was taken; the log says so once. */
  private isFailing = false;

  constructor(
    private readonly transactions: TransactionRunner,
    private readonly transport: MailTransport,
    { registry }: Metrics,
    jobs: EventJobs,
  ) {
    this.outcomes = new Counter({
      name: 'holdfast_mails_total',
      help: `Attempts to send a mail: ${OUTCOMES.join(', ')} (given up).`,
      labelNames: ['outcome'],
      registers: [registry],
    });
    OUTCOMES.forEach((outcome) => this.outcomes.inc({ outcome }, 0));
    this.oldest = new Gauge({
      name: 'holdfast_oldest_pending_mail_seconds',
      help: 'How long the oldest mail has waited that is not sent yet; 0 if there is none.',
      registers: [registry],
    });
    if (transport.isOn) {
      jobs.add('mail-sender', PAUSE_MS, () => this.send());
    }
  }

  /** Sends a few of the mails that are due. @returns whether there may be more */
  async send(): Promise<boolean> {
    const { isAnyDue, oldestSeconds } = await this.transactions.read(findBacklog);
    this.oldest.set(oldestSeconds);
    if (!isAnyDue) {
      return false;
    }
    const mails = await this.transactions.run(({ tx }) => claimMails(tx, MAILS_AT_ONCE, LEASE_SECONDS));
    await Promise.all(mails.map((mail) => this.deliver(mail)));
    return mails.length === MAILS_AT_ONCE;
  }

  onModuleDestroy(): void {
    setTimeout(() => this.breakOff.abort(), LAST_MAILS_MS).unref();
  }

  private async deliver(mail: ClaimedMail): Promise<void> {
    const { eventId, recipient, kind, content, createdAt: date } = mail;
    const { signal } = this.breakOff;
    try {
      await this.transport.send({ eventId, recipient, date, ...letterOf(kind, content) }, signal);
    } catch (error) {
      // Broken off by ourselves: that is no failure, and another process will do it.
      if (!signal.aborted) {
        await this.failed(mail, error as Error & MailFailure);
      }
      return;
    }
    this.isFailing = false;
    await this.transactions.run(async (unit) => {
      writeSent(unit, mail);
      unit.afterCommit(() => this.outcomes.inc({ outcome: 'sent' }));
    });
  }

  /** The log does not get what the server wrote, which may name the recipient; the row does. */
  private async failed(mail: ClaimedMail, error: Error & MailFailure): Promise<void> {
    const waitSeconds = retryAfter(error, mail.attempts);
    const line = { event_id: mail.eventId, kind: mail.kind, code: error.code, response_code: error.responseCode };
    if (waitSeconds === undefined) {
      log.error(line, 'a mail was not taken, and is given up');
    } else if (!this.isFailing) {
      this.isFailing = true;
      log.warn(line, 'a mail was not taken, and is sent again later');
    }
    await this.transactions.run(async (unit) => {
      writeFailed(unit, mail, error.message.replace(/\p{Cc}+/gu, ' ').slice(0, LONGEST_ERROR), waitSeconds);
      unit.afterCommit(() => this.outcomes.inc({ outcome: waitSeconds === undefined ? 'failed' : 'retried' }));
    });
  }
}
