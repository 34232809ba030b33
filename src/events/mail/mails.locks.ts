import type { Tx } from '../../platform/database/tx';
import type { Mail } from './mail.entity';

export type ClaimedMail = Pick<Mail, 'eventId' | 'recipient' | 'kind' | 'content' | 'attempts' | 'createdAt'>;

/** $1 how many, $2 for how many seconds */
const CLAIM = `
  WITH due AS MATERIALIZED (
    SELECT event_id, recipient FROM mails WHERE state = 'pending' AND next_attempt_at <= statement_timestamp()
    ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED
  )
  UPDATE mails SET attempts = attempts + 1, next_attempt_at = clock_timestamp() + $2 * interval '1 second'
  FROM due WHERE mails.event_id = due.event_id AND mails.recipient = due.recipient
  RETURNING mails.event_id AS "eventId", mails.recipient, kind, content, attempts, created_at AS "createdAt"`;

/**
 * Takes mails that are due, for so many seconds: then others may take them, because whoever took them has probably been
 * killed. Skips those that another process is just taking.
 */
export async function claimMails(tx: Tx, count: number, seconds: number): Promise<ClaimedMail[]> {
  const [claimed] = await tx.query<[ClaimedMail[], number]>(CLAIM, [count, seconds]);
  return claimed;
}
