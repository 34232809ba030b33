const MINUTE = 60;
const HOUR = 60 * MINUTE;

/** After each failed attempt: 75 and a half hours in all. */
const WAITS = [1 * MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/** What nodemailer and the server said of a mail that was not taken. */
export interface MailFailure {
  readonly code?: string;
  /** The reply of the server, such as 451. */
  readonly responseCode?: number;
}

/**
 * After how many seconds a mail is tried again; undefined if it is given up, after the last attempt or because the server
 * has refused this mail for good (5xx). That it refuses all of us, as with a wrong password, may be mended.
 */
export function retryAfter({ code, responseCode = 0 }: MailFailure, attempts: number): number | undefined {
  const isOfThisMail = code === 'EENVELOPE' || code === 'EMESSAGE';
  return isOfThisMail && responseCode >= 500 ? undefined : WAITS[attempts - 1];
}
