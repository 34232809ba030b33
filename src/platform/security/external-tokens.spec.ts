import { createHmac, randomUUID } from 'node:crypto';
import { exportSPKI, importJWK, type CryptoKey } from 'jose';
import {
  aKey,
  AUDIENCE,
  externalToken,
  IdentityProvider,
  ISSUER,
  type SigningKey,
} from '../../../test/support/identity-provider';
import { until } from '../../../test/support/race';
import { IssuerUnavailable } from '../errors/domain-errors';
import { log } from '../logging/logger';
import { ExternalTokens } from './external-tokens';

const sub = randomUUID();
const user = { kind: 'user', id: sub, role: 'user' };
const now = Math.floor(Date.now() / 1000);
const MINUTE_MS = 60_000;

const [dayClock, processClock] = [Date.now, performance.now.bind(performance)];
let passed: number;

let key: SigningKey;
let provider: IdentityProvider;
let tokens: ExternalTokens;

beforeAll(async () => {
  log.level = 'silent';
  key = await aKey('first');
});
beforeEach(async () => {
  passed = 0;
  provider = await IdentityProvider.start(key);
  tokens = new ExternalTokens({ jwksUrl: provider.jwksUrl, issuer: ISSUER, audience: AUDIENCE });
});
afterEach(async () => {
  jest.restoreAllMocks();
  await provider.stop();
});

/** Advances both clocks: Date and performance. */
function letPass(ms: number): void {
  passed += ms;
  jest.spyOn(Date, 'now').mockImplementation(() => dayClock() + passed);
  jest.spyOn(performance, 'now').mockImplementation(() => processClock() + passed);
}

describe('The tokens of an external issuer', () => {
  it.each(['RS256', 'PS256', 'ES256', 'EdDSA'])('prove their user when they are signed with %s', async (alg) => {
    const other = await aKey('other', alg);
    provider.publish(key, other);
    expect(await tokens.userOf(await externalToken(other, { sub }))).toEqual(user);
  });

  it.each(['admin', 'user'])('give the role %s when they say so', async (role) => {
    expect(await tokens.userOf(await externalToken(key, { sub, role }))).toEqual({ ...user, role });
  });

  it('count for one audience of several, and begin 5 seconds early, because two clocks differ', async () => {
    expect(await tokens.userOf(await externalToken(key, { sub, aud: ['other', AUDIENCE] }))).toEqual(user);
    expect(await tokens.userOf(await externalToken(key, { sub, nbf: Math.floor(Date.now() / 1000) + 5 }))).toEqual(
      user,
    );
  });

  it.each<[string, object]>([
    ['of another issuer', { sub, iss: 'https://other.example' }],
    ['of no issuer', { sub, iss: undefined }],
    ['for another audience', { sub, aud: 'other' }],
    ['for no audience', { sub, aud: undefined }],
    ['over', { sub, exp: now - 1 }],
    ['without an end', { sub, exp: undefined }],
    ['not valid yet', { sub, nbf: now + 600 }],
    ['of a subject that is no UUID', { sub: 'ada' }],
    ['without a subject', {}],
    ['of an unknown role', { sub, role: 'owner' }],
    ['of a role that is null', { sub, role: null }],
    ['of several roles', { sub, role: ['admin'] }],
  ])('prove nobody when they are %s', async (_, claims) => {
    expect(await tokens.userOf(await externalToken(key, claims))).toBeUndefined();
  });

  it('prove nobody when another key has signed them, under a known name or an unknown one', async () => {
    const [forger, stranger] = [await aKey('first'), await aKey('stranger')];
    expect(await tokens.userOf(await externalToken(forger, { sub }))).toBeUndefined();
    expect(await tokens.userOf(await externalToken(stranger, { sub }))).toBeUndefined();
  });

  it('prove nobody with an algorithm that is not on the list, even when the issuer has a key for it', async () => {
    const [es384, rs512] = [await aKey('es384', 'ES384'), await aKey('rs512', 'RS512')];
    provider.publish(es384, rs512);
    expect(await tokens.userOf(await externalToken(es384, { sub }))).toBeUndefined();
    expect(await tokens.userOf(await externalToken(rs512, { sub }))).toBeUndefined();
    expect(provider.asked).toBe(0);
  });

  it('prove nobody when a public key was taken for a secret, or nothing was signed', async () => {
    const rsa = await aKey('rsa', 'RS256');
    provider.publish(rsa);
    const pem = await exportSPKI((await importJWK({ ...rsa.publicJwk, ext: true }, 'RS256')) as CryptoKey);
    const claims = { sub, role: 'admin', iss: ISSUER, aud: AUDIENCE, exp: now + 600 };
    const encoded = (head: object): string =>
      [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    const content = encoded({ alg: 'HS256', kid: 'rsa' });
    const signature = createHmac('sha256', pem).update(content).digest('base64url');
    for (const token of [`${content}.${signature}`, `${encoded({ alg: 'none' })}.`, `${encoded({ alg: 'RS256' })}.`]) {
      expect(await tokens.userOf(`Bearer ${token}`)).toBeUndefined();
    }
  });

  it('bring no key of their own', async () => {
    const forger = await aKey('mine');
    const header = { jwk: forger.publicJwk, jku: provider.jwksUrl, kid: 'mine' };
    expect(await tokens.userOf(await externalToken(forger, { sub }, header))).toBeUndefined();
  });

  it.each([undefined, '', 'Bearer', 'Bearer x', 'Bearer a.b.c', 'Basic abc'])(
    'prove nobody, and nobody is asked: %p',
    async (text) => {
      expect(await tokens.userOf(text)).toBeUndefined();
      expect(provider.asked).toBe(0);
    },
  );
});

describe('Who calls', () => {
  it('is told at once by the keys that are at hand, and late where only the issuer can tell', async () => {
    const token = await externalToken(key, { sub });
    const first = await tokens.authenticate(token);
    expect([first.actor, await first.lateActor]).toEqual([undefined, user]);
    expect(await tokens.authenticate(token)).toEqual({ actor: user });

    const next = await aKey('next');
    const nextToken = await externalToken(next, { sub });
    provider.publish(key, next);
    // The keys have just been fetched, so a key that is not among them is invalid.
    expect(await tokens.authenticate(nextToken)).toEqual({ actor: undefined });
    letPass(31_000);
    expect(await tokens.authenticate(token)).toEqual({ actor: user });
    const late = await tokens.authenticate(nextToken);
    expect([late.actor, await late.lateActor]).toEqual([undefined, user]);
    expect([await tokens.authenticate(nextToken), provider.asked]).toEqual([{ actor: user }, 2]);
  });

  it('is not told by keys that are over an hour old', async () => {
    const token = await externalToken(key, { sub });
    await (
      await tokens.authenticate(token)
    ).lateActor;
    await provider.stop();
    letPass(61 * MINUTE_MS);
    await expect((await tokens.authenticate(token)).lateActor).rejects.toBeInstanceOf(IssuerUnavailable);
    provider = await IdentityProvider.start(key);
  });
});

describe('The keys of an external issuer', () => {
  const checked = (token: string): Promise<unknown> => tokens.userOf(token).catch((error: unknown) => error);
  const unavailable = expect.any(IssuerUnavailable);
  let token: string;
  beforeEach(async () => {
    token = await externalToken(key, { sub });
  });

  it('are fetched once for many requests at once', async () => {
    expect(await Promise.all(Array.from({ length: 20 }, () => checked(token)))).toEqual(Array(20).fill(user));
    expect(provider.asked).toBe(1);
  });

  it('are fetched again for one that is not known, but not more often than every 30 seconds', async () => {
    await checked(token);
    const next = await aKey('next');
    const nextToken = await externalToken(next, { sub });
    provider.publish(key, next);
    expect(await checked(nextToken)).toBeUndefined();
    letPass(31_000);
    expect(await checked(nextToken)).toEqual(user);
    expect(await checked(await externalToken(await aKey('made up'), { sub }))).toBeUndefined();
    expect([await checked(token), provider.asked]).toEqual([user, 2]);
  });

  it('are not fetched again for ten minutes', async () => {
    const fetched = jest.spyOn(globalThis, 'fetch');
    await checked(token);
    letPass(9 * MINUTE_MS);
    expect([await checked(token), fetched.mock.calls.length]).toEqual([user, 1]);
  });

  it('no longer count ten minutes after the issuer has withdrawn them', async () => {
    await checked(token);
    provider.publish(await aKey('next'));
    letPass(11 * MINUTE_MS);
    // The first request does not wait; the fetch that it starts decides about the next one.
    expect(await checked(token)).toEqual(user);
    await until(async () => (await checked(token)) === undefined, 'the new keys have arrived');
    expect(provider.asked).toBe(2);
  });

  it.each<[string, IdentityProvider['trouble']]>([
    ['fails', (response) => (response.writeHead(500), response.end('{"keys":[]}'))],
    ['sends elsewhere', (response) => (response.writeHead(302, { Location: '/keys' }), response.end())],
    ['talks nonsense', (response) => response.end('<html>')],
    ['hands out no set of keys', (response) => response.end('{"keys":7}')],
  ])('are missing, not wrong, when the issuer %s; and it is asked again 5 seconds later', async (_, trouble) => {
    provider.trouble = trouble;
    expect([await checked(token), await checked(token), provider.asked]).toEqual([unavailable, unavailable, 1]);
    provider.trouble = undefined;
    expect([await checked(token), provider.asked]).toEqual([unavailable, 1]);
    letPass(6_000);
    expect([await checked(token), provider.asked]).toEqual([user, 2]);
  });

  it('are missing when nobody answers, or not in time', async () => {
    provider.trouble = () => undefined;
    const timeout = jest
      .spyOn(AbortSignal, 'timeout')
      .mockImplementation(() => AbortSignal.abort(new DOMException('', 'TimeoutError')));
    expect(await checked(token)).toEqual(unavailable);
    expect(timeout).toHaveBeenCalledWith(3_000);
    timeout.mockRestore();
    await provider.stop();
    letPass(6_000);
    expect(await checked(token)).toEqual(unavailable);
    provider = await IdentityProvider.start(key);
  });

  it('that are known go on for an hour without the issuer; others cannot be judged', async () => {
    await checked(token);
    provider.trouble = (response) => (response.writeHead(503), response.end());
    letPass(59 * MINUTE_MS);
    expect(await checked(token)).toEqual(user);
    await until(async () => provider.asked === 2, 'the issuer was asked in vain');
    expect(await checked(await externalToken(await aKey('next'), { sub }))).toEqual(unavailable);
    letPass(2 * MINUTE_MS);
    expect(await checked(token)).toEqual(unavailable);
  });

  it('are reported as missing once for each attempt, whatever they were wanted for', async () => {
    const warn = jest.spyOn(log, 'warn').mockImplementation(() => undefined);
    const report = [{ err: expect.anything() }, 'the keys of the external issuer cannot be fetched'];
    provider.trouble = (response) => (response.writeHead(503), response.end());
    await Promise.all([checked(token), checked(token), checked(token)]);
    expect(await checked(token)).toEqual(unavailable);
    expect(warn.mock.calls).toEqual([report]);

    provider.trouble = undefined;
    letPass(6_000);
    expect(await checked(token)).toEqual(user);
    await provider.stop();
    letPass(31_000);
    expect(await checked(await externalToken(await aKey('next'), { sub }))).toEqual(unavailable);
    expect(warn.mock.calls).toEqual([report, report]);
    provider = await IdentityProvider.start(key);
  });
});
