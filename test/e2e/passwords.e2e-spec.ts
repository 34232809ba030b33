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
    const others = [password.toUpperCase(), password.trim(), password.slice(0, -1), `${password} `];
    for (const other of others.filter((one) => one !== password)) {
      expect(await statusOf(other)).toBe(401);
    }
  });
});
