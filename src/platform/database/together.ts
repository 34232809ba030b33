type Results<Statements extends readonly unknown[]> = { -readonly [Key in keyof Statements]: Awaited<Statements[Key]> };

/**
 * Waits for pipelined statements, which take one round trip in all. If one fails, the later ones fail because of it: so
 * it throws the first error, and only when all have ended.
 */
export async function together<const Statements extends readonly unknown[]>(
  statements: Statements,
): Promise<Results<Statements>> {
  const settled = await Promise.allSettled(statements);
  const failed = settled.find((one) => one.status === 'rejected');
  if (failed) {
    throw failed.reason;
  }
  return settled.map((one) => (one as PromiseFulfilledResult<unknown>).value) as Results<Statements>;
}
