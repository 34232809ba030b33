import { randomUUID } from 'node:crypto';
import { decode, sign } from 'jsonwebtoken';
import { AccessTokens } from './access-tokens';

const SECRET = 'a secret of more than thirty-two characters';
const tokens = new AccessTokens(SECRET, 60);
const id = randomUUID();
const header = (payload: object, options: object = { expiresIn: 60 }): string =>
  `Bearer ${sign(payload, SECRET, options)}`;

describe('Access tokens', () => {
  it.each(['admin', 'user'] as const)('prove the user whom they were signed for, with the role %s', (role) => {
    expect(tokens.userOf(`Bearer ${tokens.sign({ id, role })}`)).toEqual({ kind: 'user', id, role });
  });

  it('carry sub, role and exp, signed with HS256', () => {
    const { header: head, payload } = decode(tokens.sign({ id, role: 'user' }), { complete: true })!;
    const claims = payload as { sub: string; role: string; iat: number; exp: number };
    expect(head).toEqual({ alg: 'HS256', typ: 'JWT' });
    expect(claims).toEqual({ sub: id, role: 'user', iat: claims.iat, exp: claims.iat + 60 });
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
});
