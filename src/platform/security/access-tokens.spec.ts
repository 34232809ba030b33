import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto';
import { decode, sign } from 'jsonwebtoken';
import { AccessTokens } from './access-tokens';

const SECRET = 'a secret of more than thirty-two characters';
const NEW_SECRET = 'the secret that came after it, as long as that';
const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
const NOW = NOW_MS / 1000;

const tokens = new AccessTokens(SECRET, 60);
const id = randomUUID();
const user = { kind: 'user', id, role: 'user' };
const header = (payload: object, options: object = { expiresIn: 60 }): string =>
  `Bearer ${sign(payload, SECRET, options)}`;
const bearing = (claims: object): string => header({ sub: id, role: 'user', ...claims });
const signed = (by: AccessTokens): string => `Bearer ${by.sign({ id, role: 'user' })}`;

describe('Access tokens', () => {
  it.each(['admin', 'user'] as const)('prove the user whom they were signed for, with the role %s', (role) => {
    expect(tokens.userOf(`Bearer ${tokens.sign({ id, role })}`)).toEqual({ kind: 'user', id, role });
  });

  it('carry sub, role, exp, iss and aud, signed with HS256', () => {
    const { header: head, payload } = decode(tokens.sign({ id, role: 'user' }), { complete: true })!;
    const claims = payload as { sub: string; role: string; iat: number; exp: number };
    expect(head).toEqual({ alg: 'HS256', typ: 'JWT' });
    const [iss, aud] = ['holdfast', 'holdfast'];
    expect(claims).toEqual({ sub: id, role: 'user', iat: claims.iat, exp: claims.iat + 60, iss, aud });
  });

  it('give the id in lower case, as the database has it', () => {
    expect(tokens.userOf(header({ sub: id.toUpperCase(), role: 'user' }))).toMatchObject({ id });
  });

  it.each([undefined, '', 'Bearer', 'Bearer ', 'Bearer x', 'Bearer a.b.c', 'Basic abc', `bearer${'x'.repeat(10)}`])(
    'prove nobody: %p',
    (text) => {
      expect(tokens.userOf(text)).toBeUndefined();
    },
  );

  it.each<[string, string]>([
    ['of another secret', `Bearer ${new AccessTokens(`${SECRET}!`, 60).sign({ id, role: 'admin' })}`],
    ['of another algorithm', header({ sub: id, role: 'admin' }, { expiresIn: 60, algorithm: 'HS512' })],
    ['expired', header({ sub: id, role: 'admin' }, { expiresIn: -1 })],
    ['without an expiry', header({ sub: id, role: 'admin' }, {})],
    ['of an unknown role', header({ sub: id, role: 'owner' })],
    ['without a role', header({ sub: id })],
    ['of a subject that is no UUID', header({ sub: '1', role: 'admin' })],
  ])('prove nobody when they are %s', (_, authorization) => {
    expect(tokens.userOf(authorization)).toBeUndefined();
  });

  it('prove nobody when they are signed with a key pair, or claim that they were', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const claims = { sub: id, role: 'admin' };
    expect(tokens.userOf(`Bearer ${sign(claims, privateKey, { expiresIn: 60, algorithm: 'RS256' })}`)).toBeUndefined();
    const parts = [
      { alg: 'RS256', typ: 'JWT' },
      { ...claims, exp: 4_102_444_800 },
    ];
    const content = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    const signature = createHmac('sha256', SECRET).update(content).digest('base64url');
    expect(tokens.userOf(`Bearer ${content}.${signature}`)).toBeUndefined();
  });
});

describe('The issuer and the audience of a token', () => {
  const named = new AccessTokens(SECRET, 60, { issuer: 'shop', audience: 'stock' });
  const ours = { iss: 'shop', aud: 'stock' };

  it('may be left out, or be ours, as long as the settings name none', () => {
    for (const claims of [{}, { iss: 'holdfast' }, { aud: 'holdfast' }, { aud: ['other', 'holdfast'] }]) {
      expect(tokens.userOf(bearing(claims))).toEqual(user);
    }
  });

  it('are those that the settings name, in what is signed and in what is accepted', () => {
    expect(decode(named.sign({ id, role: 'user' }))).toMatchObject(ours);
    for (const claims of [ours, { ...ours, aud: ['other', 'stock'] }]) {
      expect(named.userOf(bearing(claims))).toEqual(user);
    }
  });

  it.each([{ iss: 'other' }, { iss: '' }, { iss: ['holdfast'] }, { aud: 'other' }, { aud: '' }, { aud: ['other'] }])(
    'may not be of others: %j',
    (claims) => {
      // Not with the library's options, which refuse to sign some of these.
      const authorization = `Bearer ${sign(JSON.stringify({ sub: id, role: 'user', exp: 4_102_444_800, ...claims }), SECRET)}`;
      expect(tokens.userOf(authorization)).toBeUndefined();
    },
  );

  it.each([{}, { iss: 'shop' }, { aud: 'stock' }, { ...ours, iss: 'holdfast' }, { ...ours, aud: 'holdfast' }])(
    'may not be left out or be others when the settings name them: %j',
    (claims) => {
      expect(named.userOf(bearing(claims))).toBeUndefined();
    },
  );

  it('are asked for each on its own', () => {
    expect(new AccessTokens(SECRET, 60, { issuer: 'shop' }).userOf(bearing({ iss: 'shop' }))).toEqual(user);
    expect(new AccessTokens(SECRET, 60, { audience: 'stock' }).userOf(bearing({ aud: 'stock' }))).toEqual(user);
  });
});

describe('A secret that is replaced', () => {
  const before = new AccessTokens(SECRET, 60);
  const meanwhile = new AccessTokens(NEW_SECRET, 60, { previousSecret: SECRET });
  const after = new AccessTokens(NEW_SECRET, 60);

  it('still counts while it is the previous one, and no longer', () => {
    expect([meanwhile, after].map((by) => by.userOf(signed(before)))).toEqual([user, undefined]);
  });

  it('is no longer signed with', () => {
    expect([before, after].map((by) => by.userOf(signed(meanwhile)))).toEqual([undefined, user]);
  });

  it('makes no exception for what it has signed', () => {
    for (const claims of [{ iss: 'other' }, { aud: 'other' }, { role: 'owner' }]) {
      expect(meanwhile.userOf(bearing(claims))).toBeUndefined();
    }
    expect(meanwhile.userOf(header({ sub: id, role: 'user' }, { expiresIn: -1 }))).toBeUndefined();
  });
});

describe('The time of a token', () => {
  beforeEach(() => jest.useFakeTimers({ now: NOW_MS, doNotFake: ['nextTick', 'setImmediate'] }));
  afterEach(() => jest.useRealTimers());

  it('ends with the second that exp names', () => {
    expect(tokens.userOf(header({ sub: id, role: 'user', exp: NOW + 1 }, {}))).toEqual(user);
    expect(tokens.userOf(header({ sub: id, role: 'user', exp: NOW }, {}))).toBeUndefined();
  });

  it('may begin 5 seconds from now, because two clocks differ, and no later', () => {
    expect(tokens.userOf(bearing({ nbf: NOW + 5 }))).toEqual(user);
    expect(tokens.userOf(bearing({ nbf: NOW + 6 }))).toBeUndefined();
  });
});
