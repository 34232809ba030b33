import { randomUUID } from 'node:crypto';
import { Api } from '../support/api';
import { createDatabase, type TestDatabase } from '../support/database';
import { dataOf } from '../support/factories';
import { Build, type Running } from '../support/program';
import { unique } from '../support/test-app';

jest.setTimeout(90_000);

const SECRETS = {
  JWT_SECRET: 'secret-of-the-tokens-0123456789abcdef',
  JWT_SECRET_PREVIOUS: 'secret-before-that-0123456789abcdef',
  METRICS_TOKEN: 'secret-of-the-metrics',
  ADMIN_PASSWORD: 'secret of the administrator',
};
const ADMIN_EMAIL = 'boss@example.com';
const PASSWORD = 'secret of a user, of some length';
const WRONG_PASSWORD = 'secret that was mistyped';
const KEY = 'key-that-somebody-could-ask-again-with';

interface Line {
  route?: string;
  status?: number;
  address?: string;
  msg: string;
  err?: Record<string, unknown>;
}

let build: Build;
let database: TestDatabase;
let program: Running;
beforeAll(async () => {
  build = await Build.make();
  database = await createDatabase();
});
afterAll(async () => {
  await program?.end('SIGTERM');
  await database.drop();
});

describe('The log', () => {
  it('says who did what, and repeats no password, token, key or email, not even at its finest or of a fault', async () => {
    const settings = { ...SECRETS, ADMIN_EMAIL, NODE_ENV: 'production', LOG_LEVEL: 'trace', PORT: '0' };
    program = build.start('main.js', [], { ...settings, DATABASE_URL: database.url });
    const anonymous = new Api(await program.address());
    const email = `${unique('ada')}@example.com`;
    const bearer = (token: string): { Authorization: string } => ({ Authorization: `Bearer ${token}` });

    await anonymous.post('/api/auth/register', { email, password: PASSWORD });
    const user = dataOf(await anonymous.post('/api/auth/login', { email, password: PASSWORD })).access_token;
    const login = { email: ADMIN_EMAIL, password: SECRETS.ADMIN_PASSWORD };
    const admin = dataOf(await anonymous.post('/api/auth/login', login)).access_token;
    const forged = `${user.slice(0, -4)}AAAA`;
    await anonymous.post('/api/auth/login', { email, password: WRONG_PASSWORD });
    await anonymous.post('/api/auth/login', `{"password":"${WRONG_PASSWORD}"`, { 'Content-Type': 'application/json' });
    await anonymous.get('/api/orders', bearer(forged));
    await anonymous.get('/api/audit-logs', bearer(user));
    await anonymous.get(`/api/orders?token=${user}`, bearer(user));
    await anonymous.get('/metrics', bearer(SECRETS.METRICS_TOKEN));
    const product = { sku: unique('SKU'), name: 'Mug', price: 1, initial_stock: 3 };
    const { id } = dataOf(await anonymous.post('/api/products', product, bearer(admin)));
    const line = { product_id: id, quantity: 1 };
    const reserve = (): ReturnType<Api['post']> =>
      anonymous.post('/api/reservations', line, { ...bearer(user), 'Idempotency-Key': KEY });
    const made = await reserve();
    expect(made.status).toBe(201);

    // PostgreSQL tells of the whole row that breaks a rule, and TypeORM of all parameters.
    await database.query("ALTER TABLE users ADD CONSTRAINT none_broken CHECK (email NOT LIKE 'broken%')");
    const broken = { email: `broken-${email}`, password: PASSWORD };
    expect((await anonymous.post('/api/auth/register', broken, { 'Idempotency-Key': KEY })).status).toBe(500);
    await database.query('ALTER TABLE idempotency_keys RENAME TO hidden_keys');
    expect((await reserve()).status).toBe(500);
    expect(await program.end('SIGTERM')).toBe(0);

    const log = program.stdout + program.stderr;
    const signatures = [user, admin, forged].map((token: string) => token.split('.')[2]!);
    const databasePassword = new URL(database.url).password;
    const secrets = [...Object.values(SECRETS), PASSWORD, WRONG_PASSWORD, KEY, email, ADMIN_EMAIL, ...signatures];
    for (const secret of [
      ...secrets,
      '$argon2',
      user.split('.')[1],
      'uthorization',
      databasePassword || randomUUID(),
    ]) {
      expect(log).not.toContain(secret);
    }

    const lines = program.stdout
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as Line);
    const of = (route: string, status: number): Line[] =>
      lines.filter((one) => one.msg === 'request' && one.route === route && one.status === status);
    expect(of('/api/auth/login', 200)).toHaveLength(2);
    const refused = [of('/api/auth/login', 401), of('/api/orders', 401), of('/api/audit-logs', 403)];
    expect(refused.map(([one]) => one?.address)).toEqual(Array(3).fill('127.0.0.1'));
    const [reserved] = of('/api/reservations', 201);
    const actor = `user:${JSON.parse(Buffer.from(user.split('.')[1], 'base64url').toString()).sub}`;
    expect(reserved).toMatchObject({ request_id: made.body.request_id, actor, method: 'POST' });
    expect(reserved).not.toHaveProperty('address');
    const faults = lines.filter(({ msg }) => msg === 'request failed').map(({ err }) => err);
    expect(faults).toEqual([
      expect.objectContaining({ constraint: 'none_broken', stack: expect.stringContaining('at ') }),
      expect.objectContaining({ code: '42704', stack: expect.stringContaining('at ') }),
    ]);
  });
});
