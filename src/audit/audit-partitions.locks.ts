import type { Tx } from '../platform/database/tx';

type Database = Pick<Tx, 'query'>;

/** Who makes or takes away partitions takes turns with all others who do. Nobody who reads or writes rows waits for it. */
export async function lockPartitions(database: Database): Promise<void> {
  await database.query('LOCK TABLE ONLY audit_logs IN SHARE UPDATE EXCLUSIVE MODE');
}

/** ATTACH takes this lock anyway. Only what belongs to no month is written there: mostly, nothing. */
export async function lockDefault(database: Database): Promise<void> {
  await database.query('LOCK TABLE ONLY audit_logs_default IN ACCESS EXCLUSIVE MODE');
}

/** Keeps rows from coming to one partition, while it can still be read. */
export async function lockRowsOf(database: Database, partition: string): Promise<void> {
  await database.query(`LOCK TABLE ONLY ${partition} IN SHARE MODE`);
}
