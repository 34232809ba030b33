import { prepared } from './prepared';
import type { Tx } from './tx';

const NOW = `SELECT date_trunc('milliseconds', clock_timestamp()) AS now`;

/**
 * The database's time now: not the process's, of which there are many, and not the transaction's start, which may lie
 * before a long wait for a lock. Whole milliseconds, as in every timestamp column.
 */
export async function databaseNow(tx: Tx): Promise<Date> {
  const [row] = await tx.query<{ now: Date }[]>(prepared(NOW));
  return row!.now;
}

/** The database's day, in UTC: `2026-11-20`. */
export async function databaseDay(database: Pick<Tx, 'query'>): Promise<string> {
  const [row] = await database.query<{ day: string }[]>(
    `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day`,
  );
  return row!.day;
}
