import { sign, type SignOptions } from 'jsonwebtoken';
import { UNKNOWN_ID } from './values';

/** Callers with a valid token. `ghost` signed in before the database was lost: an administrator without a user. */
export const CALLERS = ['admin', 'ada', 'bob', 'ghost', 'lower case'] as const;

/** Callers whose token must be worth nothing. */
export const FORGERIES = [
  ...[
    'nobody',
    'empty',
    'garbage',
    'basic',
    'two dots',
    'alg none',
    'alg None',
    'HS512',
    'RS256 header',
    'other secret',
  ],
  ...['expired', 'without exp', 'exp as text', 'not yet', 'without sub', 'sub as text', 'role root', 'role list'],
  ...['without role', 'cut', 'with a space', 'signature of another', 'huge'],
] as const;

export type CallerName = (typeof CALLERS)[number] | (typeof FORGERIES)[number];
type People = Record<'admin' | 'ada' | 'bob', string>;

/** What a caller sends as `Authorization`, given the tokens that the service gave the three people. */
export function authorizations(people: People, secret: string): Record<CallerName, string | undefined> {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { sub: UNKNOWN_ID, role: 'admin' };
  const signed = (payload: object, options: SignOptions = { expiresIn: 3600 }, key = secret): string =>
    `Bearer ${sign(payload, key, options)}`;
  const [head, payload, signature] = people.admin.split('.') as [string, string, string];
  const unsigned = (alg: string): string =>
    `Bearer ${part({ alg, typ: 'JWT' })}.${part({ ...claims, exp: 4_102_444_800 })}.`;
  return {
    admin: `Bearer ${people.admin}`,
    ada: `Bearer ${people.ada}`,
    bob: `Bearer ${people.bob}`,
    ghost: signed(claims),
    'lower case': `bearer ${people.admin}`,
    nobody: undefined,
    empty: '',
    garbage: 'Bearer \u00ff\u0080garbage',
    basic: 'Basic YWRtaW46YWRtaW4=',
    'two dots': 'Bearer ..',
    'alg none': unsigned('none'),
    'alg None': unsigned('None'),
    HS512: signed(claims, { expiresIn: 3600, algorithm: 'HS512' }),
    'RS256 header': `Bearer ${part({ alg: 'RS256', typ: 'JWT' })}.${payload}.${signature}`,
    'other secret': signed(claims, { expiresIn: 3600 }, 'another secret of more than 32 characters'),
    expired: signed(claims, { expiresIn: -60 }),
    'without exp': signed(claims, {}),
    'exp as text': `Bearer ${head}.${part({ ...claims, exp: '4102444800' })}.${signature}`,
    'not yet': signed(claims, { expiresIn: 3600, notBefore: 600 }),
    'without sub': signed({ role: 'admin' }),
    'sub as text': signed({ sub: 'admin', role: 'admin' }),
    'role root': signed({ ...claims, role: 'root' }),
    'role list': signed({ ...claims, role: ['admin'] }),
    'without role': signed({ sub: UNKNOWN_ID }),
    cut: `Bearer ${people.admin.slice(0, -2)}`,
    'with a space': `Bearer ${head} .${payload}.${signature}`,
    'signature of another': `Bearer ${head}.${payload}.${people.ada.split('.')[2]}`,
    huge: `Bearer ${'x'.repeat(8000)}`,
  };
}

/** The role that a caller's token proves. */
export function roleOf(caller: CallerName): 'admin' | 'user' | undefined {
  switch (caller) {
    case 'admin':
    case 'ghost':
    case 'lower case':
      return 'admin';
    case 'ada':
    case 'bob':
      return 'user';
    default:
      return undefined;
  }
}
