import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Audit1795132800002 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE audit_logs (
        id uuid CONSTRAINT audit_logs_pkey PRIMARY KEY,
        actor text NOT NULL,
        action text NOT NULL,
        object_type text NOT NULL,
        object_id uuid NOT NULL,
        old_value jsonb,
        new_value jsonb,
        request_id uuid NOT NULL,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
      )`);
    await runner.query('CREATE INDEX audit_logs_by_time ON audit_logs (created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_object ON audit_logs (object_id, created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_actor ON audit_logs (actor, created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_action ON audit_logs (action, created_at, id)');
    await runner.query('CREATE INDEX audit_logs_by_request ON audit_logs (request_id)');
    await runner.query(`
      CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
      END $$`);
    await runner.query(`
      CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE audit_logs');
    await runner.query('DROP FUNCTION refuse_change()');
  }
}
