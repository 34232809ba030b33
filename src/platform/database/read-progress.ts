import type { Client } from 'pg';
import type { EntityManager } from 'typeorm';
import { estimateRows } from './estimate';

/** Fewer, and the count would be as rough as the dice; more, and the messages would slow the read down. */
const ROWS_PER_REPORT = 4096;

/**
 * For the WHERE of a scan; true for every row. PostgreSQL shows nobody how far a SELECT is, so the statement says it: about
 * one row in 4096, by a hash of its place in the table, calls a function that sends the client a message. The server sends
 * one of level INFO at once, whatever `client_min_messages` is, and parallel workers send theirs as well.
 */
export const REPORTING_PROGRESS = `(hashtid(ctid) & ${ROWS_PER_REPORT - 1} <> 0 OR report_progress())`;

/** How much of the largest table of a statement it has read so far. */
export class ReadProgress {
  private rows = 0;
  private rowsInAll: number | undefined;

  /** @param table whose scan says `WHERE REPORTING_PROGRESS` */
  constructor(private readonly table: string) {}

  /** For a line of the log. Both numbers are rough; the rest of a statement follows its scan, so it is done at no 100 %. */
  get state(): object {
    const { rows, rowsInAll } = this;
    return { rows, of_rows: rowsInAll, percent: rowsInAll && Math.min(99, Math.floor((100 * rows) / rowsInAll)) };
  }

  async estimate(manager: EntityManager): Promise<void> {
    this.rowsInAll = await estimateRows(manager, { sql: `SELECT FROM ${this.table}`, values: [] });
  }

  /** Runs `statement` on the connection of `manager`, and counts what it reports. */
  async count<T>(manager: EntityManager, statement: () => Promise<T>): Promise<T> {
    const client = (await manager.queryRunner!.connect()) as Client;
    const onNotice = ({ message }: { message?: string | undefined }): void => {
      this.rows += message === 'progress' ? ROWS_PER_REPORT : 0;
    };
    client.on('notice', onNotice);
    try {
      return await statement();
    } finally {
      client.off('notice', onNotice);
    }
  }
}
