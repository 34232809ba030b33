import { setTimeout as sleep } from 'node:timers/promises';
import { uuidv7 } from 'uuidv7';
import type { BulkSession } from '../platform/database/bulk-session';
import { databaseFailureOf, isLockTimeout } from '../platform/database/database-errors';
import type { ArchivedMonth } from './audit-action';
import { type AuditPartition, partitionsBefore } from './audit-partitions';
import { lockPartitions, lockRowsOf } from './audit-partitions.locks';

/** While DETACH waits for its lock, everything that writes to the audit log waits too, so it must not wait long. */
const SHORT_LOCK_TIMEOUT = `SET LOCAL lock_timeout = '500ms'`;
const MAX_TRIES = 20;
const PAUSE_MS = 500;

const RECORD = `
  INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id)
  VALUES ($1, 'system:audit-archive', 'audit_log.archived', 'audit_log', $2, $3, $4)`;

/** Other transactions kept the audit log locked for too long. The message is one line. */
export class AuditLogInUse extends Error {}

/** Detaches months from the audit log, and drops them if asked to. */
export class AuditArchive {
  /** All audit rows of one run share this request id. */
  private readonly requestId = uuidv7();

  constructor(
    private readonly session: BulkSession,
    private readonly isDropping: boolean,
    private readonly tries = MAX_TRIES,
  ) {}

  /**
   * Detaches one partition and logs that, in one transaction; undefined if it was detached meanwhile. Its rows are
   * neither changed nor copied. The log is locked only for moments; if that fails, it is tried again.
   * @throws AuditLogInUse
   */
  async archive(partition: AuditPartition): Promise<ArchivedMonth | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.session.run(() => this.takeOut(partition));
      } catch (error) {
        if (!isLockTimeout(error) && databaseFailureOf(error) !== 'retryable') {
          throw error;
        }
        if (attempt === this.tries) {
          throw new AuditLogInUse(`${partition.name} is in use (a dump, a long query?) and stays. Try again later.`);
        }
        await sleep(PAUSE_MS);
      }
    }
  }

  private async takeOut({ name, month }: AuditPartition): Promise<ArchivedMonth | undefined> {
    const { session } = this;
    await session.query(SHORT_LOCK_TIMEOUT);
    await lockPartitions(session);
    if (!(await partitionsBefore(session, '9999-12')).some((partition) => partition.name === name)) {
      return undefined;
    }
    await lockRowsOf(session, name);
    const [counted] = await session.query<{ rows: number }[]>(`SELECT count(*)::float8 AS rows FROM ${name}`);
    // Not CONCURRENTLY, which does not work with a default partition.
    await session.query(`ALTER TABLE audit_logs DETACH PARTITION ${name}`);
    if (this.isDropping) {
      await session.query(`DROP TABLE ${name}`);
    }
    const archived = { table: name, month, rows: counted!.rows, dropped: this.isDropping };
    await session.query(RECORD, [uuidv7(), uuidv7(), archived, this.requestId]);
    return archived;
  }
}
