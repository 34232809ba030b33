import { hash, verify } from '@node-rs/argon2';
import pLimit from 'p-limit';

/** argon2id (the package's default algorithm) with the first parameters of the OWASP Password Storage Cheat Sheet. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Hashing takes a core for some 30 ms: so many at a time, or anybody could take them all by logging in. */
const atATime = pLimit(2);

/** A real hash of nothing that anybody knows, to be verified against when there is no such user. */
const NOBODY = hash(crypto.randomUUID(), COST);

export function hashPassword(password: string): Promise<string> {
  return atATime(() => hash(password, COST));
}

/** Takes about as long without a hash as with one, so that the time does not tell whether the user exists. */
export async function isPassword(password: string, passwordHash: string | undefined): Promise<boolean> {
  const expected = passwordHash ?? (await NOBODY);
  const isRight = await atATime(() => verify(expected, password));
  return isRight && passwordHash !== undefined;
}
