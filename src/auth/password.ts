import { hash, verify } from '@node-rs/argon2';
import pLimit, { type LimitFunction } from 'p-limit';
import { Overloaded } from '../platform/errors/domain-errors';

/** argon2id (the package's default algorithm) with the first parameters of the OWASP Password Storage Cheat Sheet. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/**
 * Hashing takes a core for some 30 ms: one for those who log in and one for those who register, or anybody could take
 * them all. Each have a queue of their own, so neither keep the others out, however many come.
 */
const loggingIn = pLimit(1);
const registering = pLimit(1);
/** Of those who wait in a queue; they have their turn some seconds later, within the time of their requests. */
const MOST_WAITING = 100;

/** A real hash of nothing that anybody knows, to be verified against when there is no such user. */
const NOBODY = hash(crypto.randomUUID(), COST);

/** The hash of a new password. @throws Overloaded if too many wait already to have one made */
export function hashPassword(password: string): Promise<string> {
  return inTurn(registering, () => hash(password, COST));
}

/** Takes about as long without a hash as with one, so that the time does not tell whether the user exists. @throws Overloaded if too many wait already to log in */
export async function isPassword(password: string, passwordHash: string | undefined): Promise<boolean> {
  const expected = passwordHash ?? (await NOBODY);
  const isRight = await inTurn(loggingIn, () => verify(expected, password));
  return isRight && passwordHash !== undefined;
}

async function inTurn<T>(queue: LimitFunction, work: () => Promise<T>): Promise<T> {
  if (queue.pendingCount >= MOST_WAITING) {
    throw new Overloaded();
  }
  return queue(work);
}
