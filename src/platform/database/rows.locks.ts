import { columnsOf } from './fragments';
import { prepared } from './prepared';
import type { Tx } from './tx';

/**
 * Whether to wait for rows that another transaction has locked, or to skip them. `share` skips locked orders and
 * reservations, as `skip` does, but waits for the stock levels, which everybody needs.
 */
export type LockWait = 'wait' | 'share' | 'skip';

/**
 * Locks rows until the transaction ends, in the order of their ids, so that two transactions that need the same rows do
 * not deadlock. What TypeORM calls `pessimistic_write`, written as SQL so that it is sent at once, before any later
 * statement. For the `*.locks.ts` of the nouns, which say what may be locked and when.
 */
export function lockRows<Row extends { id: string }>(
  tx: Tx,
  entity: new () => Row,
  ids: readonly string[],
  lockWait: LockWait = 'wait',
): Promise<Row[]> {
  const { tableName } = tx.connection.getMetadata(entity);
  const sql = `SELECT ${columnsOf(entity).text} FROM ${tableName} WHERE id = ANY($1) ORDER BY id FOR UPDATE`;
  return tx.query<Row[]>(prepared(lockWait === 'wait' ? sql : `${sql} SKIP LOCKED`), [ids]);
}
