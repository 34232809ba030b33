import { hash, verify } from '@node-rs/argon2';
import pLimit from 'p-limit';
import { Overloaded } from '../platform/errors/domain-errors';

/** argon2id (the package's default algorithm) with the first parameters of the OWASP Password Storage Cheat Sheet. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Hashing takes a core for some 30 ms: so many at a time, or anybody could take them all by logging in. */
const atATime = pLimit(2);
/** Of those who wait for their turn; they have it some seconds later, within the time of their requests. */
const MOST_WAITING = 100;

/** A real hash of nothing that anybody knows, to be verified against when there is no such user. */
const NOBODY = hash(crypto.randomUUID(), COST);

/** @throws Overloaded if too many wait already */
export function hashPassword(password: string): Promise<string> {
  return inTurn(() => hash(password, COST));
}

/** Takes about as long without a hash as with one, so that the time does not tell whether the user exists. @throws Overloaded if too many wait already */
export async function isPassword(password: string, passwordHash: string | undefined): Promise<boolean> {
  const expected = passwordHash ?? (await NOBODY);
  const isRight = await inTurn(() => verify(expected, password));
  return isRight && passwordHash !== undefined;
}

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (atATime.pendingCount >= MOST_WAITING) {
    throw new Overloaded();
  }
  return atATime(work);
}
