import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The mails that events cause. */
export class Mails1795132800020 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE mails (
        event_id uuid NOT NULL,
        recipient text NOT NULL,
        kind text NOT NULL,
        content jsonb NOT NULL,
        state text NOT NULL DEFAULT 'pending',
        attempts integer NOT NULL DEFAULT 0,
        next_attempt_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        last_error text,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (event_id, recipient),
        CONSTRAINT mails_state_known CHECK (state IN ('pending', 'sent', 'failed'))
      )`);
    await runner.query(`CREATE INDEX mails_due ON mails (next_attempt_at) WHERE state = 'pending'`);
    await runner.query('CREATE INDEX mails_by_state ON mails (state, created_at)');
    // There are mails of what happens from now on.
    await runner.query(`
      INSERT INTO event_consumers (name, cursor)
      SELECT 'mail', rtrim(translate(encode(convert_to(era || '.' || tick, 'UTF8'), 'base64'), '+/', '-_'), '=')
      FROM event_head`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DELETE FROM event_consumers WHERE name = 'mail'`);
    await runner.query('DROP TABLE mails');
  }
}
