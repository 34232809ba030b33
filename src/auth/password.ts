import { hash, verify } from '@node-rs/argon2';
import pLimit, { type LimitFunction } from 'p-limit';
import { Overloaded } from '../platform/errors/domain-errors';

/** argon2id (the package's default algorithm) with the first parameters of the OWASP Password Storage Cheat Sheet. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/**
 * Hashing uses a core for some 30 ms, so log-ins and registrations get one at a time each, or anybody could use up all
 * cores. Each has its own queue, so neither can block the other, however many come.
 */
const loggingIn = pLimit(1);
const registering = pLimit(1);
/** The longest queue: the last in it has its turn some seconds later, within the time limit of its request. */
const MOST_WAITING = 100;

/** A real hash of an unknown password, to verify against if there is no such user. */
const NOBODY = hash(crypto.randomUUID(), COST);

/** The hash of a new password. @throws Overloaded if too many registrations wait already */
export function hashPassword(password: string): Promise<string> {
  return inTurn(registering, () => hash(password, COST));
}

/**
 * Takes about as long without a hash as with one, so that the time does not reveal whether the user exists.
 * @throws Overloaded if too many log-ins wait already
 */
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
