import { randomUUID } from 'node:crypto';
import { sign, verify } from 'jsonwebtoken';
import { Api, type Reply } from '../support/api';
import { createDatabase, type TestDatabase } from '../support/database';
import { aProduct, dataOf } from '../support/factories';
import { aKey, AUDIENCE, externalToken, IdentityProvider, ISSUER, type SigningKey } from '../support/identity-provider';
import { until } from '../support/race';
import { JWT_SECRET, startTestApp, type TestApp, unique } from '../support/test-app';

const NEXT_SECRET = 'the secret that comes next, as long as it has to be';
const PASSWORD = 'correct horse battery';

const bearing = (authorization: string): { Authorization: string } => ({ Authorization: authorization });
const ownToken = (claims: object, secret = JWT_SECRET): { Authorization: string } =>
  bearing(`Bearer ${sign({ sub: randomUUID(), role: 'user', ...claims }, secret, { expiresIn: 60 })}`);

/** An application with these settings, for one piece of work. */
async function withApp<T>(
  settings: Record<string, string>,
  work: (test: TestApp) => Promise<T>,
  database?: TestDatabase,
): Promise<T> {
  const test = await startTestApp(settings, database);
  try {
    return await work(test);
  } finally {
    await test.close();
  }
}

describe('When the secret is replaced', () => {
  const meanwhile = { JWT_SECRET: NEXT_SECRET, JWT_SECRET_PREVIOUS: JWT_SECRET };

  it('tokens of both are accepted, and those of the new one are handed out', async () => {
    await withApp(meanwhile, async ({ anonymous }) => {
      for (const secret of [JWT_SECRET, NEXT_SECRET]) {
        expect((await anonymous.get('/api/orders', ownToken({}, secret))).status).toBe(200);
      }
      const credentials = { email: `${unique('ada')}@example.com`, password: PASSWORD };
      await anonymous.post('/api/auth/register', credentials);
      const { access_token: token } = dataOf(await anonymous.post('/api/auth/login', credentials));
      expect(verify(token, NEXT_SECRET)).toMatchObject({ iss: 'holdfast', aud: 'holdfast', role: 'user' });
    });
  });

  it('tokens of the old one are refused as soon as it is no longer the previous one', async () => {
    await withApp({ JWT_SECRET: NEXT_SECRET }, async ({ anonymous }) => {
      expect((await anonymous.get('/api/orders', ownToken({}, JWT_SECRET))).status).toBe(401);
    });
  });

  it('what was asked for under an Idempotency-Key before is known again, alone or in a batch', async () => {
    const database = await createDatabase();
    const key = { 'Idempotency-Key': randomUUID() };
    const userId = randomUUID();
    const warehouse = { code: unique('WH'), name: 'A warehouse' };
    const ask = async ({ url }: TestApp, secret: string, productId: string): Promise<Reply[]> => {
      const token = (role: string): string => sign({ sub: userId, role }, secret, { expiresIn: 60 });
      const [admin, user] = ['admin', 'user'].map((role) => new Api(url, { id: userId, token: token(role) }));
      return [
        await admin!.post('/api/warehouses', warehouse, key),
        await user!.post('/api/reservations', { product_id: productId, quantity: 1 }, key),
      ];
    };
    const [product, first] = await withApp(
      {},
      async (test) => {
        const made = await aProduct(test);
        return [made, await ask(test, JWT_SECRET, made.id)] as const;
      },
      database,
    );
    const again = await withApp(meanwhile, (test) => ask(test, NEXT_SECRET, product.id), database);
    const after = await withApp({ JWT_SECRET: NEXT_SECRET }, (t) => ask(t, NEXT_SECRET, product.id), database);
    await database.drop();

    expect(again.map(dataOf)).toEqual(first.map(dataOf));
    expect(again.map(({ headers }) => headers['idempotent-replayed'])).toEqual(['true', 'true']);
    expect(after.map(({ body }) => body.code)).toEqual(['idempotency_key_reused', 'idempotency_key_reused']);
  });
});

describe('With JWT_ISSUER and JWT_AUDIENCE set', () => {
  it('tokens have to bear them, and those that are handed out do', async () => {
    await withApp({ JWT_ISSUER: 'shop', JWT_AUDIENCE: 'stock' }, async ({ anonymous }) => {
      const statusOf = async (claims: object): Promise<number> =>
        (await anonymous.get('/api/orders', ownToken(claims))).status;
      expect(await statusOf({ iss: 'shop', aud: 'stock' })).toBe(200);
      for (const claims of [{}, { iss: 'shop' }, { aud: 'stock' }, { iss: 'holdfast', aud: 'holdfast' }]) {
        expect(await statusOf(claims)).toBe(401);
      }
      const credentials = { email: `${unique('ada')}@example.com`, password: PASSWORD };
      await anonymous.post('/api/auth/register', credentials);
      const { access_token: token } = dataOf(await anonymous.post('/api/auth/login', credentials));
      expect((await anonymous.get('/api/auth/me', bearing(`Bearer ${token}`))).status).toBe(200);
    });
  });
});

describe('With an external issuer', () => {
  let key: SigningKey;
  let provider: IdentityProvider;
  let test: TestApp;
  beforeAll(async () => {
    key = await aKey('first', 'RS256');
  });
  beforeEach(async () => {
    provider = await IdentityProvider.start(key);
    const settings = { AUTH_JWKS_URL: provider.jwksUrl, AUTH_ISSUER: ISSUER, AUTH_AUDIENCE: AUDIENCE };
    test = await startTestApp({ ...settings, LOG_LEVEL: 'silent' });
  });
  afterEach(async () => {
    await test.close();
    await provider.stop();
  });

  const tokenOf = async (claims: object = {}, by = key): Promise<{ Authorization: string }> =>
    bearing(await externalToken(by, { sub: randomUUID(), ...claims }));

  it('its users are those of the service, with their role, beside our own', async () => {
    const { anonymous } = test;
    const sub = randomUUID();
    const product = await aProduct(test);
    const line = { product_id: product.id, quantity: 1 };
    const made = await anonymous.post('/api/reservations', line, await tokenOf({ sub }));
    expect([made.status, made.body.data.user_id]).toEqual([201, sub]);
    const log = await anonymous.get(`/api/audit-logs?actor=user:${sub}`, await tokenOf({ role: 'admin' }));
    expect(dataOf(log)).toMatchObject([{ action: 'reservation.created', request_id: made.body.request_id }]);
    expect((await anonymous.get('/api/audit-logs', await tokenOf())).body.code).toBe('forbidden');
    expect((await test.aUser().get(`/api/reservations/${made.body.data.id}`)).status).toBe(404);
  });

  it.each<[string, object]>([
    ['another issuer', { iss: 'https://other.example' }],
    ['another audience', { aud: 'other' }],
    ['no time left', { exp: 1 }],
    ['a subject that is no UUID', { sub: 'ada' }],
    ['an unknown role', { role: 'owner' }],
  ])('a token of %s is refused', async (_, claims) => {
    const reply = await test.anonymous.get('/api/orders', await tokenOf(claims));
    expect([reply.status, reply.body.code, reply.headers['www-authenticate']]).toEqual([
      401,
      'unauthenticated',
      'Bearer',
    ]);
  });

  it('is no way round: with its name in it, a token under our secret is still not ours', async () => {
    expect((await test.anonymous.get('/api/orders', ownToken({ iss: ISSUER, aud: AUDIENCE }))).status).toBe(401);
    expect(provider.asked).toBe(0);
  });

  it('that is away, its tokens cannot be judged: 503, but for public routes; all others go on', async () => {
    const { anonymous } = test;
    provider.trouble = (response) => response.end('out of order');
    const reply = await anonymous.get('/api/orders', await tokenOf());
    expect([reply.status, reply.body.code, reply.headers['retry-after'], reply.body.request_id]).toEqual([
      503,
      'issuer_unavailable',
      '5',
      reply.headers['x-request-id'],
    ]);
    expect((await anonymous.get('/api/products', await tokenOf())).status).toBe(200);
    const inactive = await anonymous.get('/api/products?include_inactive=true', await tokenOf({ role: 'admin' }));
    expect([inactive.status, inactive.body.code]).toEqual([503, 'issuer_unavailable']);
    expect((await test.aUser().get('/api/orders')).status).toBe(200);
    expect((await anonymous.get('/api/orders')).status).toBe(401);
  });

  it('keeps nobody waiting who needs no token, and those who do until it has answered', async () => {
    const { anonymous } = test;
    const product = await aProduct(test);
    dataOf(await test.admin.patch(`/api/products/${product.id}`, { is_active: false }));
    const asked: { end(keys: string): void }[] = [];
    provider.trouble = (response) => asked.push(response);
    const token = await tokenOf({ role: 'admin' });
    const waiting = ['/api/audit-logs', '/api/products?include_inactive=true'].map((path) =>
      anonymous.get(path, token),
    );
    await until(async () => asked.length === 1, 'the issuer was asked');

    const open = ['/api/products', `/api/products/${product.id}`, '/health/live', '/api/nowhere'];
    const replies = await Promise.all(open.map((path) => anonymous.get(path, token)));
    expect(replies.map((reply) => reply.status)).toEqual([200, 404, 200, 404]);

    asked[0]!.end(JSON.stringify({ keys: provider.keys }));
    expect((await Promise.all(waiting)).map((reply) => reply.status)).toEqual([200, 200]);
    // Now that its key is known, the token counts on public routes as well.
    expect((await anonymous.get(`/api/products/${product.id}`, token)).status).toBe(200);
    expect(asked).toHaveLength(1);
  });

  it('has to be named: without, its tokens prove nobody', async () => {
    await withApp({}, async ({ anonymous }) => {
      expect((await anonymous.get('/api/orders', await tokenOf())).status).toBe(401);
    });
  });
});
