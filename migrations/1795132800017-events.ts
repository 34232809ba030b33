import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the feed of events is made of: the transaction of each audit row, and the ticks that put transactions in order. */
export class Events1795132800017 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // The rows that are there keep NULL, and are no events. The default alone would number them all, and rewrite the table.
    await runner.query('ALTER TABLE audit_logs ADD COLUMN xid bigint');
    await runner.query('ALTER TABLE audit_logs ALTER COLUMN xid SET DEFAULT txid_current()');
    await runner.query('CREATE INDEX audit_logs_by_xid ON audit_logs (xid) WHERE xid IS NOT NULL');
    await runner.query(`
      CREATE TABLE event_ticks (
        era integer NOT NULL,
        id bigint NOT NULL,
        at timestamptz(3) NOT NULL,
        snapshot text NOT NULL,
        first_xid bigint NOT NULL,
        end_xid bigint NOT NULL,
        late_xids bigint[] NOT NULL,
        rows_from timestamptz(3) NOT NULL,
        rows_until timestamptz(3) NOT NULL,
        counts jsonb NOT NULL,
        PRIMARY KEY (era, id)
      )`);
    await runner.query('CREATE INDEX event_ticks_by_time ON event_ticks (at)');
    await runner.query(`
      CREATE TABLE event_head (
        singleton boolean DEFAULT true PRIMARY KEY,
        era integer NOT NULL,
        tick bigint NOT NULL,
        era_start timestamptz(3) NOT NULL,
        CONSTRAINT event_head_is_one CHECK (singleton)
      )`);
    await runner.query(`
      INSERT INTO event_ticks
      SELECT 1, 0, clock_timestamp(), now::text, xmax, xmax, '{}', clock_timestamp(), clock_timestamp(), '{}'
      FROM pg_current_snapshot() AS now, LATERAL (SELECT pg_snapshot_xmax(now)::text::bigint AS xmax) AS range`);
    await runner.query('INSERT INTO event_head (era, tick, era_start) SELECT era, id, at FROM event_ticks');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE event_head, event_ticks');
    await runner.query('ALTER TABLE audit_logs DROP COLUMN xid');
  }
}
