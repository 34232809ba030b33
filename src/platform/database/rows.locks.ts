import type { EntityTarget, FindOptionsWhere, ObjectLiteral } from 'typeorm';
import type { Tx } from './tx';

/** Whether to wait for rows that another transaction has locked, or to do without them. */
export interface LockOptions {
  readonly skipLocked: boolean;
}

/**
 * Locks one row until the transaction ends, waiting for whoever holds it; null if there is none. For the `*.locks.ts` of
 * the nouns, which say what may be locked and when.
 */
export function lockRow<Row extends ObjectLiteral & { id: string }>(
  tx: Tx,
  entity: EntityTarget<Row>,
  id: string,
): Promise<Row | null> {
  return tx.findOne(entity, { where: { id } as FindOptionsWhere<Row>, lock: { mode: 'pessimistic_write' } });
}
