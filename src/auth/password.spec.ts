import { hash, verify } from '@node-rs/argon2';
import { Overloaded } from '../platform/errors/domain-errors';
import { hashPassword, isPassword } from './password';

jest.mock('@node-rs/argon2', () => ({ hash: jest.fn(async () => 'hash'), verify: jest.fn(async () => true) }));

const PASSWORD = 'correct horse battery';
const register = (): Promise<unknown> => hashPassword(PASSWORD);
const logIn = (): Promise<unknown> => isPassword(PASSWORD, 'hash');
const times = <T>(length: number, work: () => T): T[] => Array.from({ length }, work);

describe('Passwords', () => {
  /** Hashes in progress; the test completes each. */
  const begun: (() => void)[] = [];
  beforeEach(() => {
    begun.length = 0;
    jest.mocked(hash).mockImplementation(() => new Promise((resolve) => begun.push(() => resolve('hash'))));
    jest.mocked(verify).mockImplementation(() => new Promise((resolve) => begun.push(() => resolve(true))));
  });

  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  async function endAll(): Promise<void> {
    for (let next = begun.shift(); next; next = begun.shift()) {
      next();
      await turn();
    }
  }

  it.each([
    ['made', register, 'hash'],
    ['checked', logIn, true],
  ])('are %s one at a time, however many come', async (_, ask, answer) => {
    const waiting = times(10, ask);
    await turn();
    expect(begun).toHaveLength(1);
    begun.shift()!();
    await turn();
    expect(begun).toHaveLength(1);
    await endAll();
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => answer));
  });

  it.each([
    ['made', register, logIn],
    ['checked', logIn, register],
  ])('are refused to be %s when a hundred wait already, and taken when fewer do', async (_, ask, askOtherwise) => {
    const first = ask();
    await turn();
    const outcomes = Promise.allSettled([...times(101, ask), askOtherwise()]);
    await turn();
    // A full queue of one kind does not delay the other.
    expect(begun).toHaveLength(2);
    await endAll();
    expect(await first).toBeTruthy();
    expect((await outcomes).flatMap((outcome, index) => (outcome.status === 'rejected' ? [index] : []))).toEqual([100]);
    expect((await outcomes)[100]).toMatchObject({ reason: expect.any(Overloaded) });

    const again = ask();
    await turn();
    await endAll();
    await expect(again).resolves.toBeTruthy();
  });
});
