import type { Tx } from '../platform/database/tx';

type Database = Pick<Tx, 'query'>;

/** Lets only one transaction at a time create or detach partitions. It does not block reading or writing rows. */
export async function lockPartitions(database: Database): Promise<void> {
  await database.query('LOCK TABLE ONLY audit_logs IN SHARE UPDATE EXCLUSIVE MODE');
}

/** ATTACH takes this lock anyway. It blocks only rows without a partition for their month: usually there are none. */
export async function lockDefault(database: Database): Promise<void> {
  await database.query('LOCK TABLE ONLY audit_logs_default IN ACCESS EXCLUSIVE MODE');
}

/** Blocks writes to one partition; it can still be read. */
export async function lockRowsOf(database: Database, partition: string): Promise<void> {
  await database.query(`LOCK TABLE ONLY ${partition} IN SHARE MODE`);
}
