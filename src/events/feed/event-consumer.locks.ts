import type { Tx } from '../../platform/database/tx';

/** Locks a consumer's position, so that only one process reads on from it; undefined if another one has it. */
export async function lockPosition(tx: Tx, name: string): Promise<string | undefined> {
  const [position] = await tx.query<{ cursor: string }[]>(
    'SELECT cursor FROM event_consumers WHERE name = $1 FOR UPDATE SKIP LOCKED',
    [name],
  );
  return position?.cursor;
}

/** Waits until a consumer has committed its current work, and keeps it from reading on until this transaction ends. */
export async function holdPosition(tx: Tx, name: string): Promise<void> {
  await tx.query('SELECT FROM event_consumers WHERE name = $1 FOR SHARE', [name]);
}
