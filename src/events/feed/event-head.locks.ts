import type { Tx } from '../../platform/database/tx';
import type { EventHead } from './event-tick.entity';

/** Locks the newest tick, so that only one process makes the next one; undefined if another process has it. */
export async function lockHead(tx: Tx): Promise<Omit<EventHead, 'singleton'> | undefined> {
  const [head] = await tx.query<Omit<EventHead, 'singleton'>[]>(
    'SELECT era, tick, era_start AS "eraStart" FROM event_head FOR UPDATE SKIP LOCKED',
  );
  return head;
}
