import { ALERT_LETTERS } from './alert-letters';
import { type RenderedLetter, rendered } from './letter';
import { ORDER_LETTERS } from './order-letters';

const LETTERS = { ...ORDER_LETTERS, ...ALERT_LETTERS };

export type MailKind = keyof typeof LETTERS;
/** What the template of a kind wants to know. */
export type MailContent<Kind extends MailKind = MailKind> = Parameters<(typeof LETTERS)[Kind]>[0];

/** The mail of a kind. @param content what was queued for it, which is what its template takes */
export function letterOf(kind: MailKind, content: object): RenderedLetter {
  const template = LETTERS[kind] as (content: object) => Parameters<typeof rendered>[0];
  return rendered(template(content));
}
