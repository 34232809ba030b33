type Results<Statements extends readonly unknown[]> = { -readonly [Key in keyof Statements]: Awaited<Statements[Key]> };

/**
 * Waits for statements that were sent one after the other without waiting, which takes one round trip for all of them.
 * If one fails, those after it fail because of it: its error is the one to throw, and only when all have ended.
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
