import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A month of UTC: the end of its table's name, where it begins, and where the next one does. */
interface Month {
  name: string;
  since: string;
  until: string;
}

const MONTH = `to_char(month, 'YYYY_MM') AS name, to_char(month, 'YYYY-MM-01 00:00:00+00') AS since,
  to_char(month + interval '1 month', 'YYYY-MM-01 00:00:00+00') AS until`;

/** The month of the newest row, if there is any row. */
const NEWEST_MONTH = `
  SELECT ${MONTH}
  FROM (SELECT date_trunc('month', max(created_at) AT TIME ZONE 'UTC') AS month FROM audit_logs) AS newest
  WHERE month IS NOT NULL`;

/** This month and three more, but those that are there. $1 from when on, or null */
const NEXT_MONTHS = `
  SELECT ${MONTH}
  FROM date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') AS this,
    generate_series(this, this + interval '3 months', interval '1 month') AS month
  WHERE $1::timestamptz IS NULL OR month AT TIME ZONE 'UTC' >= $1`;

/**
 * Partitions the audit log by month. The table that is there becomes the first partition as it is: none of its rows is
 * copied, but it is read once, and two of its indexes are made anew (docs/decisions/0010 has the figures).
 */
export class AuditPartitions1795132800009 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('LOCK TABLE audit_logs IN ACCESS EXCLUSIVE MODE');
    const [newest] = (await runner.query(NEWEST_MONTH)) as Month[];
    await this.setAside(runner);
    await runner.query(`
      CREATE TABLE audit_logs (
        LIKE audit_logs_past INCLUDING DEFAULTS,
        CONSTRAINT audit_logs_pkey PRIMARY KEY (created_at, id)
      ) PARTITION BY RANGE (created_at)`);
    await runner.query('CREATE INDEX audit_logs_by_object ON audit_logs (object_id, created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_actor ON audit_logs (actor, action, created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_action ON audit_logs (action, created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_request ON audit_logs (request_id)');
    await protect(runner, 'audit_logs');
    await (newest ? this.attachPast(runner, newest) : runner.query('DROP TABLE audit_logs_past'));
    for (const { name, since, until } of (await runner.query(NEXT_MONTHS, [newest?.until])) as Month[]) {
      await runner.query(
        `CREATE TABLE audit_logs_${name} PARTITION OF audit_logs FOR VALUES FROM ('${since}') TO ('${until}')`,
      );
      await protect(runner, `audit_logs_${name}`);
    }
    await runner.query('CREATE TABLE audit_logs_default PARTITION OF audit_logs DEFAULT');
    await protect(runner, 'audit_logs_default');
  }

  /** Copies every row: 7 million take some minutes. What was archived stays as it is, beside the table. */
  async down(runner: QueryRunner): Promise<void> {
    await runner.query('LOCK TABLE audit_logs IN ACCESS EXCLUSIVE MODE');
    await runner.query('CREATE TABLE audit_logs_plain (LIKE audit_logs INCLUDING DEFAULTS)');
    await runner.query('INSERT INTO audit_logs_plain SELECT * FROM audit_logs');
    await runner.query('DROP TABLE audit_logs');
    await runner.query('ALTER TABLE audit_logs_plain RENAME TO audit_logs');
    await runner.query('ALTER TABLE audit_logs ADD CONSTRAINT audit_logs_pkey PRIMARY KEY (id)');
    await runner.query('CREATE INDEX audit_logs_by_time ON audit_logs (created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_object ON audit_logs (object_id, created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_actor ON audit_logs (actor, created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_action ON audit_logs (action, created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_request ON audit_logs (request_id)');
    await protect(runner, 'audit_logs');
  }

  /** Makes way for the new table and its indexes; those that it will have as well are kept, under other names. */
  private async setAside(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_pkey');
    await runner.query('DROP INDEX audit_logs_by_time, audit_logs_by_actor');
    await runner.query('ALTER TABLE audit_logs RENAME TO audit_logs_past');
    for (const index of ['by_object', 'by_action', 'by_request']) {
      await runner.query(`ALTER INDEX audit_logs_${index} RENAME TO audit_logs_past_${index}`);
    }
  }

  /** No CHECK constraint first: it would read the table just as long, under the same lock. */
  private async attachPast(runner: QueryRunner, { until }: Month): Promise<void> {
    await runner.query(
      `ALTER TABLE audit_logs ATTACH PARTITION audit_logs_past FOR VALUES FROM (MINVALUE) TO ('${until}')`,
    );
  }
}

/** Row triggers would come with every partition by themselves, but leave it when it is archived, and know no TRUNCATE. */
async function protect(runner: QueryRunner, table: string): Promise<void> {
  await runner.query(`
    CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ${table}
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`);
}
