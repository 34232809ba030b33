import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MailRetention } from '../../src/events/mail/mail-retention';
import { createDatabase, type TestDatabase } from '../support/database';
import { anOrder, aProduct, bring, dataOf } from '../support/factories';
import { logLines } from '../support/log-lines';
import { MailServer, parsedMail } from '../support/mail-server';
import { aCustomer, queueMails, sendMails } from '../support/mails';
import { Build } from '../support/program';
import { until } from '../support/race';
import { JWT_SECRET, startTestApp, type TestApp } from '../support/test-app';

const MAIL_FROM = 'The Shop <shop@example.com>';
const ALERT_EMAIL = 'stock@example.com';

let database: TestDatabase;
let server: MailServer;
let test: TestApp;
beforeAll(async () => {
  database = await createDatabase();
  server = await MailServer.start();
  test = await startTestApp({ SMTP_URL: server.url, MAIL_FROM, ALERT_EMAIL }, database);
});
beforeEach(() => {
  server.mails.length = 0;
});
afterEach(() => jest.restoreAllMocks());
afterAll(async () => {
  await test.close();
  await server.stop();
  await database.drop();
});

const pending = (): Promise<{ attempts: number; last_error: string | null; seconds: number }[]> =>
  database.query(`
    SELECT attempts, last_error, extract(epoch FROM next_attempt_at - clock_timestamp())::float8 AS seconds
    FROM mails WHERE state = 'pending'`);
/** Lets the time until the next attempt be over, without waiting for it. */
const letLeasesEnd = (): Promise<object[]> =>
  database.query(`UPDATE mails SET next_attempt_at = clock_timestamp() - interval '1 second'`);

/** Something of which the address for alerts is to be told. */
async function sellOut(app: TestApp): Promise<void> {
  const product = await aProduct(app, { name: 'Blue mug' });
  await queueMails(app);
  dataOf(await app.aUser().post('/api/reservations', { product_id: product.id, quantity: 10 }));
  await queueMails(app);
}

/** How many mails the recipient has got, now that all is sent. */
async function sentTo(recipient: string): Promise<number> {
  await sendMails(test);
  return server.mails.filter(({ to }) => to.includes(recipient)).length;
}

describe('Mails that are not taken at once', () => {
  async function aConfirmedOrder(): Promise<{ email: string; id: string }> {
    const { api, email } = await aCustomer(test);
    const { id } = await anOrder(api, (await aProduct(test)).id);
    await bring(test, id, 'confirmed');
    await queueMails(test);
    return { email, id };
  }

  it.each(['RCPT', 'DATA'] as const)(
    'are sent again later, if a server refuses them for now at %s',
    async (command) => {
      const { email } = await aConfirmedOrder();
      const lines = logLines();
      server.refuseNext(command, 451);
      await sendMails(test);
      expect(server.mails).toEqual([]);
      const [mail] = await pending();
      expect(mail).toMatchObject({ attempts: 1, last_error: expect.stringContaining('451') });
      expect(mail!.seconds).toBeGreaterThan(50);
      expect(mail!.seconds).toBeLessThan(61);
      await sendMails(test);
      expect(server.mails).toEqual([]);
      await letLeasesEnd();
      expect(await sentTo(email)).toBe(1);
      expect(await pending()).toEqual([]);
      expect(JSON.stringify(lines)).not.toContain(email);
    },
  );

  it('are given up if the server refuses the recipient for good', async () => {
    const { email } = await aConfirmedOrder();
    const lines = logLines();
    server.refuseNext('RCPT', 550);
    await sendMails(test);
    expect(await pending()).toEqual([]);
    expect(await database.query('SELECT state, attempts FROM mails WHERE recipient = $1', [email])).toEqual([
      { state: 'failed', attempts: 1 },
    ]);
    expect(lines).toEqual([expect.objectContaining({ level: 'error', kind: 'order_confirmed', response_code: 550 })]);
    expect(JSON.stringify(lines)).not.toContain(email);
  });

  it('are sent by one process at a time, and again, with the same id, after that was killed', async () => {
    const build = await Build.make();
    const settings = { SMTP_URL: server.url, MAIL_FROM, DATABASE_URL: database.url, JWT_SECRET, PORT: '0' };
    const program = build.start('main.js', [], { ...settings, NODE_ENV: 'production' });
    try {
      await program.address();
      server.hang();
      const { api, email } = await aCustomer(test);
      const { id } = await anOrder(api, (await aProduct(test)).id);
      await bring(test, id, 'confirmed');
      await until(async () => server.mails.length === 1, 'the server has the mail');
      await sendMails(test);
      expect(await pending()).toMatchObject([{ attempts: 1 }]);
      await program.end('SIGKILL');
      server.answer();
      // As two minutes later, when a process that has written nothing must be gone.
      await letLeasesEnd();
      expect(await sentTo(email)).toBe(2);
      const [first, second] = server.mails;
      expect(second!.headers['message-id']).toBe(first!.headers['message-id']);
      expect(await pending()).toEqual([]);
    } finally {
      server.answer();
      await program.end('SIGKILL');
    }
  });

  it('are counted, and so is how long the oldest has waited', async () => {
    const metric = async (name: string): Promise<number> => {
      const { text } = await test.anonymous.get('/metrics');
      return Number(new RegExp(`^holdfast_${name} (.*)$`, 'm').exec(text)![1]);
    };
    const [sent, retried] = [
      await metric('mails_total{outcome="sent"}'),
      await metric('mails_total{outcome="retried"}'),
    ];
    await aConfirmedOrder();
    server.refuseNext('DATA', 451);
    await sendMails(test);
    await database.query(`UPDATE mails SET created_at = created_at - interval '1 hour' WHERE state = 'pending'`);
    await sendMails(test);
    expect(await metric('oldest_pending_mail_seconds')).toBeGreaterThan(3_600);
    await letLeasesEnd();
    await sendMails(test);
    await sendMails(test);
    expect(await metric('oldest_pending_mail_seconds')).toBe(0);
    expect(await metric('mails_total{outcome="sent"}')).toBe(sent + 1);
    expect(await metric('mails_total{outcome="retried"}')).toBe(retried + 1);
  });
});

describe('Mails that are done with', () => {
  it('are let go of when their events are, but not those that are still to be sent', async () => {
    await database.query(`
      INSERT INTO mails (event_id, recipient, kind, content, state, created_at)
      SELECT gen_random_uuid(), 'old', 'order_confirmed', '{}', state, clock_timestamp() - days * interval '1 day'
      FROM unnest(ARRAY['sent', 'failed', 'pending']) AS state, unnest(ARRAY[29, 31]) AS days`);
    await test.app.get(MailRetention, { strict: false }).purge();
    const kept = await database.query<{ state: string }>(
      `SELECT state FROM mails WHERE recipient = 'old' ORDER BY state`,
    );
    expect(kept.map(({ state }) => state)).toEqual(['failed', 'pending', 'pending', 'sent']);
    await database.query(`DELETE FROM mails WHERE recipient = 'old'`);
  });
});

describe('Without a server', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-mail-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('mails are files in development', async () => {
    const app = await startTestApp({ NODE_ENV: 'development', ALERT_EMAIL, DATA_DIR: folder });
    try {
      await sellOut(app);
      await sendMails(app);
      const [file, ...others] = await readdir(join(folder, 'mail'));
      expect(others).toEqual([]);
      const { headers, text } = parsedMail(await readFile(join(folder, 'mail', file!), 'utf8'));
      expect(headers).toMatchObject({ to: ALERT_EMAIL, 'message-id': `<${file!.replace('.eml', '')}@localhost>` });
      expect(text).toMatch(/^Nothing of Blue mug is available any more\.\n/);
    } finally {
      await app.close();
    }
  });

  it('there are none in production, nor are there later of what happened meanwhile', async () => {
    const own = await createDatabase();
    const production = { NODE_ENV: 'production', ALERT_EMAIL, DATA_DIR: folder };
    const off = await startTestApp(production, own);
    const on = await startTestApp({ ...production, SMTP_URL: server.url, MAIL_FROM }, own);
    try {
      await sellOut(off);
      expect(await own.query('SELECT FROM mails')).toEqual([]);
      await queueMails(on);
      expect(await own.query('SELECT FROM mails')).toEqual([]);
    } finally {
      await off.close();
      await on.close();
      await own.drop();
    }
  });
});

describe('A server with a password', () => {
  const password = randomUUID();

  /** Has a mail sent there; says what has become of it. */
  async function sendTo(address: string): Promise<object[]> {
    const url = new URL(address);
    [url.username, url.password] = ['shop', password];
    url.search = '?logger=true&debug=true';
    const app = await startTestApp({ SMTP_URL: url.toString(), MAIL_FROM, ALERT_EMAIL, LOG_LEVEL: 'trace' });
    try {
      await sellOut(app);
      await sendMails(app);
      return await app.database.query('SELECT state, attempts, last_error FROM mails');
    } finally {
      await app.close();
    }
  }

  it('gets it, and nobody reads it in the log', async () => {
    const lines = logLines();
    const levels = ['log', 'info', 'debug', 'warn', 'error'] as const;
    const printed = levels.map((level) => jest.spyOn(console, level).mockReturnValue());
    server.refuseNext('RCPT', 451);
    expect(await sendTo(server.url)).toMatchObject([{ state: 'pending', attempts: 1 }]);
    expect(server.logins).toEqual([`shop:${password}`]);
    expect(lines.length).toBeGreaterThan(0);
    expect(JSON.stringify(lines)).not.toContain(password);
    expect(printed.flatMap(({ mock }) => mock.calls)).toEqual([]);
  });

  it('does not get it over a network without TLS', async () => {
    server.logins.length = 0;
    logLines();
    // The same machine by an address that is not known to be its own.
    const [mail] = await sendTo(server.url.replace('127.0.0.1', '[::ffff:127.0.0.1]'));
    expect(mail).toMatchObject({ state: 'pending', last_error: expect.stringContaining('STARTTLS') });
    expect(server.logins).toEqual([]);
  });
});
