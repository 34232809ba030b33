import type { Api, Reply } from '../support/api';
import { sendAsWritten } from '../support/as-written';
import { storm, tally } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const CREDENTIALS = { email: 'nobody@example.com', password: 'correct horse battery' };

async function statusesOf(times: number, ask: () => Promise<Reply>): Promise<number[]> {
  const statuses: number[] = [];
  for (let call = 0; call < times; call += 1) {
    statuses.push((await ask()).status);
  }
  return statuses;
}

/** An application with these limits of its own, for one test. */
async function withLimits(settings: Record<string, string>, work: (test: TestApp) => Promise<void>): Promise<void> {
  const test = await startTestApp(settings);
  try {
    await work(test);
  } finally {
    await test.close();
  }
}

describe('The rate limit', () => {
  const me = (caller: Api) => () => caller.get('/api/orders');
  const [here, there] = ['203.0.113.7', '203.0.113.8'];
  const from = (caller: Api, address: string) => () => caller.get('/api/products', { 'X-Forwarded-For': address });

  it('counts by user, and without a valid token by address', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '5' }, async (test) => {
      const [ada, bob, { anonymous }] = [test.aUser(), test.aUser(), test];
      expect(await statusesOf(7, me(ada))).toEqual([200, 200, 200, 200, 200, 429, 429]);
      expect(await statusesOf(6, me(bob))).toEqual([200, 200, 200, 200, 200, 429]);

      const forged = { Authorization: 'Bearer garbage' };
      expect(await statusesOf(3, () => anonymous.get('/api/products'))).toEqual([200, 200, 200]);
      expect(await statusesOf(3, () => anonymous.get('/api/products', forged))).toEqual([200, 200, 429]);
    });
  });

  it('lets all users of an address together ask ten times as often as one', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '2', TRUSTED_PROXIES: '1' }, async (test) => {
      const ask = (caller: Api, address: string) => () => caller.get('/api/orders', { 'X-Forwarded-For': address });
      const users = Array.from({ length: 10 }, () => test.aUser());
      for (const user of users) {
        // What is refused because of one is not counted for the others.
        expect(await statusesOf(3, ask(user, here))).toEqual([200, 200, 429]);
      }
      const late = test.aUser();
      const refused = await ask(late, here)();
      expect([refused.status, refused.body.detail]).toEqual([429, 'More than 20 requests in a minute']);
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
      expect(await statusesOf(1, ask(late, there))).toEqual([200]);
      expect(await statusesOf(3, from(test.anonymous, here))).toEqual([200, 200, 429]);
    });
  });

  it('counts whatever the route, and refusals too', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '5' }, async (test) => {
      const user = test.aUser();
      await user.get('/api/reservations');
      await user.post('/api/reservations', {});
      await user.post('/api/reservations/', '{', { 'Content-Type': 'application/json' });
      await user.get('/api/audit-logs');
      await user.send('put', '/api/orders');
      expect((await user.get('/api/orders')).status).toBe(429);
    });
  });

  it('answers with a problem that says when to come back', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '1' }, async (test) => {
      const user = test.aUser();
      await user.get('/api/orders');
      const { status, body, headers } = await user.get('/api/orders?limit=1');
      expect(status).toBe(429);
      expect(headers['content-type']).toBe('application/problem+json; charset=utf-8');
      expect(body).toEqual({
        type: '/problems/rate-limited',
        title: 'Too many requests',
        status: 429,
        detail: 'More than 1 requests in a minute',
        instance: '/api/orders',
        code: 'rate_limited',
        request_id: headers['x-request-id'],
      });
      expect(headers['retry-after']).toMatch(/^\d+$/);
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(headers['retry-after'])).toBeLessThanOrEqual(60);
    });
  });

  it('does not count health, and readings of the metrics on their own', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '2' }, async ({ anonymous }) => {
      for (const path of ['/health/live', '/health/ready']) {
        expect(await statusesOf(4, () => anonymous.get(path))).toEqual([200, 200, 200, 200]);
      }
      expect(await statusesOf(3, () => anonymous.get('/health/nothing'))).toEqual([404, 404, 429]);
      expect(await statusesOf(3, () => anonymous.get('/metrics'))).toEqual([200, 200, 429]);
    });
  });

  it('lets nobody read the metrics more than 60 times, by address', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '100' }, async (test) => {
      const callers = [test.anonymous, test.aUser()];
      const replies = await storm(61, (index) => callers[index % 2]!.get('/metrics'));
      expect(tally(replies)).toEqual({ '200': 60, '429 rate_limited': 1 });
    });
  });

  it('counts requests to unknown paths too, and what the router refuses', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '4' }, async ({ url }) => {
      const paths = ['/elsewhere', '/nowhere', '/api/%zz', `/api/products/${'x'.repeat(300)}`, '/api/%zz', '/%zz'];
      const statuses: number[] = [];
      for (const path of paths) {
        statuses.push((await sendAsWritten(url, { path })).status);
      }
      expect(statuses).toEqual([404, 404, 400, 404, 429, 429]);
    });
  });

  it('counts by the address that a trusted proxy names, and believes nothing before it', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '3', TRUSTED_PROXIES: '1' }, async ({ anonymous }) => {
      expect(await statusesOf(3, from(anonymous, here))).toEqual([200, 200, 200]);
      expect(await statusesOf(4, from(anonymous, there))).toEqual([200, 200, 200, 429]);
      expect(await statusesOf(1, from(anonymous, `198.51.100.1, ${here}`))).toEqual([429]);
    });
  });

  it('counts all addresses of an IPv6 /64 as one, and an IPv4 address that is written as IPv6 as itself', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '2', TRUSTED_PROXIES: '1' }, async ({ anonymous }) => {
      const addresses = ['2001:db8:1:2::7', '2001:db8:1:2:ffff::8', '2001:DB8:1:2::9', '2001:db8:1:3::7'];
      addresses.push('203.0.113.7', '::ffff:203.0.113.7', '::ffff:cb00:7107', '203.0.113.8');
      const statuses: number[] = [];
      for (const address of addresses) {
        statuses.push((await from(anonymous, address)()).status);
      }
      expect(statuses).toEqual([200, 200, 429, 200, 200, 200, 429, 200]);
    });
  });

  it('does not believe X-Forwarded-For where no proxy is trusted', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '3' }, async ({ anonymous }) => {
      expect(await statusesOf(2, from(anonymous, here))).toEqual([200, 200]);
      expect(await statusesOf(2, from(anonymous, there))).toEqual([200, 429]);
    });
  });

  it('is off at 0', async () => {
    await withLimits({ RATE_LIMIT_PER_MINUTE: '0', LOGIN_RATE_LIMIT_PER_MINUTE: '0' }, async ({ anonymous }) => {
      const [status] = [...new Set(await statusesOf(40, () => anonymous.get('/api/products')))];
      expect(status).toBe(200);
      expect([...new Set(await statusesOf(15, () => anonymous.post('/api/auth/login', CREDENTIALS)))]).toEqual([401]);
    });
  });
});

describe('The limit of log-ins', () => {
  it('counts by address, whoever the caller says they are, and on its own', async () => {
    await withLimits({ LOGIN_RATE_LIMIT_PER_MINUTE: '3' }, async (test) => {
      const { anonymous } = test;
      expect(await statusesOf(1, () => anonymous.post('/api/auth/login', CREDENTIALS))).toEqual([401]);
      expect(await statusesOf(1, () => test.aUser().post('/api/auth/login/', CREDENTIALS))).toEqual([401]);
      expect(await statusesOf(1, () => anonymous.post('/api/auth/%6Cogin', {}))).toEqual([400]);
      expect((await test.aUser().post('/api/auth/login', CREDENTIALS)).body.code).toBe('rate_limited');
      expect((await anonymous.get('/api/products')).status).toBe(200);
      expect((await anonymous.post('/api/auth/login', CREDENTIALS)).status).toBe(429);
    });
  });

  it('counts registering as well, for it hashes a password too', async () => {
    await withLimits({ LOGIN_RATE_LIMIT_PER_MINUTE: '3' }, async (test) => {
      const { anonymous } = test;
      expect(await statusesOf(1, () => anonymous.post('/api/auth/register', CREDENTIALS))).toEqual([201]);
      expect(await statusesOf(1, () => anonymous.post('/api/auth/login', CREDENTIALS))).toEqual([200]);
      expect(await statusesOf(1, () => test.aUser().post('/api/auth/register/', {}))).toEqual([400]);
      expect((await anonymous.post('/api/auth/%72egister', CREDENTIALS)).body.code).toBe('rate_limited');
      expect((await anonymous.post('/api/auth/login', CREDENTIALS)).body.code).toBe('rate_limited');
      expect((await anonymous.get('/api/auth/login')).status).toBe(405);
    });
  });

  it('is not eased by a greater general limit, nor does it use that up', async () => {
    await withLimits({ LOGIN_RATE_LIMIT_PER_MINUTE: '2', RATE_LIMIT_PER_MINUTE: '3' }, async ({ anonymous }) => {
      expect(await statusesOf(3, () => anonymous.post('/api/auth/login', CREDENTIALS))).toEqual([401, 401, 429]);
      expect(await statusesOf(4, () => anonymous.get('/api/products'))).toEqual([200, 200, 200, 429]);
    });
  });

  it('leaves log-ins to the general limit at 0', async () => {
    await withLimits({ LOGIN_RATE_LIMIT_PER_MINUTE: '0', RATE_LIMIT_PER_MINUTE: '2' }, async ({ anonymous }) => {
      expect(await statusesOf(3, () => anonymous.post('/api/auth/login', CREDENTIALS))).toEqual([401, 401, 429]);
    });
  });
});
