import { randomUUID } from 'node:crypto';
import { sign } from 'jsonwebtoken';
import type { Reply } from '../support/api';
import { aProduct, dataOf } from '../support/factories';
import { JWT_SECRET, startTestApp, type TestApp, unique } from '../support/test-app';

const PASSWORD = 'correct horse battery';
const UUID = expect.stringMatching(/^[0-9a-f-]{36}$/);

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(() => test.close());

const anEmail = (): string => `${unique('ada')}@example.com`;
const bearer = (token: string): { Authorization: string } => ({ Authorization: `Bearer ${token}` });
const register = (email: string, password = PASSWORD): Promise<Reply> =>
  test.anonymous.post('/api/auth/register', { email, password });
const login = (email: string, password = PASSWORD): Promise<Reply> =>
  test.anonymous.post('/api/auth/login', { email, password });

describe('A user', () => {
  it('registers, logs in, and is told who they are', async () => {
    const email = anEmail();
    const registered = await register(email);
    const user = {
      id: UUID,
      email,
      role: 'user',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    };
    expect([registered.status, registered.body.data]).toEqual([201, user]);

    const { status, body } = await login(email);
    expect([status, body.data]).toEqual([
      200,
      { access_token: expect.any(String), token_type: 'Bearer', expires_in: 3600, user: registered.body.data },
    ]);
    const me = await test.anonymous.get('/api/auth/me', bearer(body.data.access_token));
    expect([me.status, me.body.data]).toEqual([200, registered.body.data]);
  });

  it('is audited as the one who registered, without the password', async () => {
    const email = anEmail();
    const { id } = dataOf(await register(email));
    const [row] = dataOf(await test.admin.get(`/api/audit-logs?object_id=${id}`));
    expect(row).toMatchObject({
      actor: `user:${id}`,
      action: 'user.registered',
      object_type: 'user',
      old_value: null,
      new_value: { email, role: 'user' },
    });
  });

  it('has an email that is unique whatever its case, and logs in with any case', async () => {
    const email = anEmail();
    const { id } = dataOf(await register(email.toUpperCase()));
    const second = await register(email);
    expect([second.status, second.body.code, second.body.field]).toEqual([409, 'duplicate', 'email']);
    expect(dataOf(await login(email.replace('ada', 'aDa'))).user).toMatchObject({ id, email });
  });

  it('of two who register the same email at once, only one does', async () => {
    const email = anEmail();
    const replies = await Promise.all(Array.from({ length: 6 }, () => register(email)));
    expect(replies.map((reply) => reply.status).sort()).toEqual([201, 409, 409, 409, 409, 409]);
  });

  it.each([
    ['11 characters', 'x'.repeat(11), 400],
    ['12 characters', 'x'.repeat(12), 201],
    ['128 characters', 'x'.repeat(128), 201],
    ['129 characters', 'x'.repeat(129), 400],
  ])('may have a password of 12 to 128 characters: %s', async (_, password, status) => {
    const email = anEmail();
    const reply = await register(email, password);
    expect(reply.status).toBe(status);
    expect((await login(email, password)).status).toBe(status === 201 ? 200 : password.length > 128 ? 400 : 401);
  });

  it.each([
    '',
    'ada',
    'ada@',
    '@example.com',
    'a b@example.com',
    'ada@example',
    `${'a'.repeat(250)}@example.com`,
    7,
    null,
    ['a@example.com'],
  ])('needs an email that is one: %p', async (email) => {
    const reply = await test.anonymous.post('/api/auth/register', { email, password: PASSWORD });
    expect([...new Set(reply.body.errors.map((error: { field: string }) => error.field))]).toEqual(['email']);
  });

  it('cannot choose their own role', async () => {
    const reply = await test.anonymous.post('/api/auth/register', {
      email: anEmail(),
      password: PASSWORD,
      role: 'admin',
    });
    expect(reply.body).toMatchObject({ status: 400, errors: [{ field: 'role' }] });
  });

  it('is told the same for a wrong email and for a wrong password', async () => {
    const email = anEmail();
    await register(email);
    const [wrongPassword, wrongEmail] = [await login(email, 'not the password at all'), await login(anEmail())];
    expect(wrongPassword.headers['www-authenticate']).toBe('Bearer');
    expect(wrongPassword.body).toMatchObject({
      status: 401,
      code: 'unauthenticated',
      detail: 'Email or password is wrong',
    });
    expect({ ...wrongEmail.body, request_id: '' }).toEqual({ ...wrongPassword.body, request_id: '' });
  });

  it('has a password that is kept as an argon2id hash, of which no answer tells', async () => {
    const email = anEmail();
    const replies = [await register(email), await login(email)];
    replies.push(await test.anonymous.get('/api/auth/me', bearer(replies[1]!.body.data.access_token)));
    replies.push(await test.admin.get('/api/audit-logs?action=user.registered&limit=100'));
    const [row] = await test.database.query<{ password_hash: string }>(
      'SELECT password_hash FROM users WHERE email = $1',
      [email],
    );
    expect(row!.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    for (const { text } of replies) {
      expect(text).not.toMatch(/argon2|password|correct horse/);
    }
  });
});

describe('A token', () => {
  const id = randomUUID();
  const claims = { sub: id, role: 'admin' };
  const signed = (payload: object, options: object = {}, secret = JWT_SECRET): string =>
    sign(payload, secret, { expiresIn: 60, ...options });
  const unsigned = (header: object): string =>
    [header, { ...claims, exp: 4_102_444_800 }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');

  it('is accepted when it is signed with HS256 and our secret', async () => {
    expect((await test.anonymous.get('/api/audit-logs', bearer(signed(claims)))).status).toBe(200);
    expect((await test.anonymous.get('/api/audit-logs', { Authorization: `bearer  ${signed(claims)}` })).status).toBe(
      200,
    );
  });

  it.each<[string, string]>([
    ['alg none', `Bearer ${unsigned({ alg: 'none', typ: 'JWT' })}.`],
    ['alg None', `Bearer ${unsigned({ alg: 'None', typ: 'JWT' })}.`],
    ['no signature', `Bearer ${unsigned({ alg: 'HS256', typ: 'JWT' })}.`],
    ['HS384', `Bearer ${signed(claims, { algorithm: 'HS384' })}`],
    ['HS512', `Bearer ${signed(claims, { algorithm: 'HS512' })}`],
    ['another secret', `Bearer ${signed(claims, {}, 'another secret of more than 32 characters')}`],
    ['expired', `Bearer ${signed(claims, { expiresIn: -1 })}`],
    ['no expiry', `Bearer ${sign(claims, JWT_SECRET)}`],
    ['not valid yet', `Bearer ${signed(claims, { notBefore: 3600 })}`],
    ['a subject that is no UUID', `Bearer ${signed({ ...claims, sub: '1 OR 1=1' })}`],
    ['no subject', `Bearer ${signed({ role: 'admin' })}`],
    ['an unknown role', `Bearer ${signed({ ...claims, role: 'root' })}`],
    ['no role', `Bearer ${signed({ sub: id })}`],
    ['a role in a list', `Bearer ${signed({ ...claims, role: ['admin'] })}`],
    ['a text for claims', `Bearer ${sign('admin', JWT_SECRET)}`],
    ['another scheme', `Basic ${signed(claims)}`],
    ['no scheme', signed(claims)],
    ['garbage', 'Bearer garbage'],
    ['three dots', 'Bearer ...'],
    ['nothing', 'Bearer '],
    ['a tail', `Bearer ${signed(claims)} x`],
  ])('is refused with 401: %s', async (_, authorization) => {
    const reply = await test.anonymous.get('/api/audit-logs', { Authorization: authorization });
    expect([reply.status, reply.body.code, reply.headers['www-authenticate']]).toEqual([
      401,
      'unauthenticated',
      'Bearer',
    ]);
    expect((await test.anonymous.get('/api/products', { Authorization: authorization })).status).toBe(200);
  });

  it('is refused when a byte of it is changed', async () => {
    const [head, payload, signature] = signed({ sub: id, role: 'user' }).split('.') as [string, string, string];
    const forged = Buffer.from(Buffer.from(payload, 'base64url').toString().replace('"user"', '"admin"')).toString(
      'base64url',
    );
    expect((await test.anonymous.get('/api/audit-logs', bearer([head, forged, signature].join('.')))).status).toBe(401);
  });

  it('of a user who does not exist has no "me"', async () => {
    expect((await test.aUser().get('/api/auth/me')).body).toMatchObject({ status: 401, code: 'unauthenticated' });
  });

  it('lives as long as JWT_TTL_SECONDS says', async () => {
    const other = await startTestApp({ JWT_TTL_SECONDS: '120' });
    const credentials = { email: anEmail(), password: PASSWORD };
    await other.anonymous.post('/api/auth/register', credentials);
    const { access_token: token, expires_in: seconds } = (await other.anonymous.post('/api/auth/login', credentials))
      .body.data;
    await other.close();
    const payload = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
    expect([seconds, payload.exp - payload.iat]).toEqual([120, 120]);
    expect(Object.keys(payload).sort()).toEqual(['aud', 'exp', 'iat', 'iss', 'role', 'sub']);
  });
});

interface Operation {
  security?: object[];
  'x-roles'?: string[];
}

describe('Access', () => {
  type Route = { method: 'get' | 'post' | 'patch'; path: string; operation: Operation };
  const routes = async (): Promise<Route[]> => {
    const { paths } = (await test.anonymous.get('/openapi.json')).body as {
      paths: Record<string, Record<string, Operation>>;
    };
    return Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => ({ method, path, operation }) as Route),
    );
  };
  const name = ({ method, path }: Route): string => `${method.toUpperCase()} ${path}`;
  const call = ({ method, path }: Route, token?: string): Promise<Reply> =>
    test.anonymous.send(
      method,
      path.replace(/\{\w+\}/g, randomUUID()),
      method === 'get' ? undefined : {},
      token === undefined ? {} : bearer(token),
    );

  it('is closed by default: only the routes of the contract are public', async () => {
    const open = (await routes()).filter(({ operation }) => !operation.security);
    expect(open.map(name).sort()).toEqual([
      'GET /',
      'GET /api/products',
      'GET /api/products/{id}',
      'GET /health/live',
      'GET /health/ready',
      'GET /metrics',
      'GET /problems/{code}',
      'POST /api/auth/login',
      'POST /api/auth/register',
    ]);
    for (const route of open) {
      expect(`${name(route)} ${(await call(route)).status}`).not.toMatch(/ (401|403|5\d\d)$/);
    }
  });

  it('needs a token on every other route, before anything else is looked at', async () => {
    const closed = (await routes()).filter(({ operation }) => operation.security);
    expect(closed.length).toBeGreaterThan(20);
    for (const route of closed) {
      const { status, headers } = await call(route);
      expect([name(route), status, headers['www-authenticate']]).toEqual([name(route), 401, 'Bearer']);
    }
  });

  it('to the routes of an administrator is forbidden for a user, and only to those', async () => {
    const { token } = test.aUser();
    const closed = (await routes()).filter(({ operation }) => operation.security);
    const forbidden = [];
    for (const route of closed) {
      const { body } = await call(route, token);
      if (body.code === 'forbidden') {
        forbidden.push(name(route));
      }
    }
    const webhooks = [
      ...['GET /api/webhook-deliveries', 'GET /api/webhook-deliveries/{id}', 'POST /api/webhook-deliveries/{id}/retry'],
      ...['GET /api/webhook-endpoints', 'GET /api/webhook-endpoints/{id}', 'POST /api/webhook-endpoints'],
      ...['PATCH /api/webhook-endpoints/{id}', 'DELETE /api/webhook-endpoints/{id}'],
      ...['recover', 'rotate-secret', 'test'].map((action) => `POST /api/webhook-endpoints/{id}/${action}`),
    ];
    const admin = ['admin/metrics', 'admin/reconciliation', 'audit-logs', 'products/{id}/stock-movements'];
    const others = [...admin, 'events', 'events/stream', 'events/{id}'].map((path) => `GET /api/${path}`);
    const changes = [
      ...['PATCH /api/products/{id}', 'PATCH /api/warehouses/{id}', 'POST /api/products', 'POST /api/warehouses'],
      ...['POST /api/products/{id}/stock-adjustments', 'POST /api/stock-transfers'],
    ];
    expect(forbidden.sort()).toEqual([...others, ...changes, ...webhooks].sort());
  });

  it('to a public route is open with a bad token, which counts as none', async () => {
    const product = await aProduct(test);
    for (const token of [
      'garbage',
      sign({ sub: randomUUID(), role: 'admin' }, 'a secret that is not ours, but long'),
    ]) {
      expect((await test.anonymous.get(`/api/products/${product.id}`, bearer(token))).status).toBe(200);
      expect(
        (await test.anonymous.get('/api/products?include_inactive=true', bearer(token))).status,
      ).toBeGreaterThanOrEqual(401);
    }
  });
});
