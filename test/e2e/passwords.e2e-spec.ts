import { startTestApp, type TestApp, unique } from '../support/test-app';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(() => test.close());

describe('A password', () => {
  it.each([
    ['spaces around it', '  twelve or more  '],
    ['letters of no alphabet in particular', 'пароль 密码 🔑🔑🔑🔑'],
    ['one letter', 'aaaaaaaaaaaa'],
    ['64 characters', 'x'.repeat(64)],
    ['control characters', '\u0007 twelve or more\n'],
  ])('may have %s, and is then exactly that', async (_, password) => {
    const email = `${unique('ada')}@example.com`;
    const statusOf = async (attempt: string): Promise<number> =>
      (await test.anonymous.post('/api/auth/login', { email, password: attempt })).status;
    expect((await test.anonymous.post('/api/auth/register', { email, password })).status).toBe(201);
    expect(await statusOf(password)).toBe(200);
    const others = [password.toUpperCase(), password.trim(), [...password].slice(0, -1).join(''), `${password} `];
    for (const other of others.filter((one) => one !== password)) {
      expect(await statusOf(other)).toBe(401);
    }
  });

  it.each(['\\ud800', '\\udc00', '\\udc00\\ud800'])(
    'with half a surrogate pair (%s) is refused, at registering as at logging in',
    async (half) => {
      // As JSON text: a client that reads and writes JSON itself could have mended it.
      const body = `{"email":"${unique('ada')}@example.com","password":"twelve or more ${half}"}`;
      for (const path of ['/api/auth/register', '/api/auth/login']) {
        const reply = await test.anonymous.post(path, body, { 'Content-Type': 'application/json' });
        expect([reply.status, reply.body.errors]).toEqual([
          400,
          [{ field: 'password', message: 'password must be well-formed Unicode' }],
        ]);
      }
    },
  );
});
