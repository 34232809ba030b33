import { hash } from '@node-rs/argon2';
import { Overloaded } from '../platform/errors/domain-errors';
import { hashPassword, isPassword } from './password';

jest.mock('@node-rs/argon2', () => ({ hash: jest.fn(async () => 'hash'), verify: jest.fn(async () => true) }));

describe('Passwords', () => {
  /** Hashes that have begun, each of which the test ends. */
  const begun: (() => void)[] = [];
  beforeEach(() => {
    begun.length = 0;
    jest.mocked(hash).mockImplementation(() => new Promise((resolve) => begun.push(() => resolve('hash'))));
  });

  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  async function endAll(): Promise<void> {
    for (let next = begun.shift(); next; next = begun.shift()) {
      next();
      await turn();
    }
  }

  it('are hashed two at a time, however many come', async () => {
    const hashes = Array.from({ length: 10 }, () => hashPassword('correct horse battery'));
    await turn();
    expect(begun).toHaveLength(2);
    begun.shift()!();
    await turn();
    expect(begun).toHaveLength(2);
    await endAll();
    expect(await Promise.all(hashes)).toEqual(hashes.map(() => 'hash'));
  });

  it('are refused when a hundred wait already, to be hashed as to be checked, and taken again when fewer do', async () => {
    const some = (length: number) => Array.from({ length }, () => hashPassword('correct horse battery'));
    const hashes = some(50);
    await turn();
    hashes.push(...some(52));
    await expect(hashPassword('one too many')).rejects.toBeInstanceOf(Overloaded);
    await expect(isPassword('one too many', 'hash')).rejects.toBeInstanceOf(Overloaded);
    await endAll();
    await Promise.all(hashes);
    expect(await isPassword('correct horse battery', 'hash')).toBe(true);
  });
});
