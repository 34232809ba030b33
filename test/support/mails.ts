import { MailQueue } from '../../src/events/mail/mail-queue';
import { MailSender } from '../../src/events/mail/mail-sender';
import { Api } from './api';
import { dataOf } from './factories';
import { type TestApp, unique } from './test-app';

const PASSWORD = 'correct horse battery';

/** Somebody who has an address. */
export async function aCustomer({ anonymous, url }: TestApp): Promise<{ api: Api; email: string }> {
  const email = `${unique('ada')}@example.com`;
  await anonymous.post('/api/auth/register', { email, password: PASSWORD });
  const { access_token: token, user } = dataOf(await anonymous.post('/api/auth/login', { email, password: PASSWORD }));
  return { api: new Api(url, { id: user.id, token }), email };
}

/** Queues the mails of all that has happened. */
export async function queueMails({ app, judgeStock, tick }: TestApp): Promise<void> {
  await judgeStock();
  await tick();
  let hasMore: boolean;
  do {
    hasMore = await app.get(MailQueue, { strict: false }).fill();
  } while (hasMore);
}

/** Sends the mails that are due. */
export async function sendMails({ app }: TestApp): Promise<void> {
  let hasMore: boolean;
  do {
    hasMore = await app.get(MailSender, { strict: false }).send();
  } while (hasMore);
}
