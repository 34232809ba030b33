import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Users1795132800001 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE users (
        id uuid CONSTRAINT users_pkey PRIMARY KEY,
        email text NOT NULL CONSTRAINT users_email_unique UNIQUE,
        password_hash text NOT NULL,
        role text NOT NULL,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT users_email_lower CHECK (email = lower(email)),
        CONSTRAINT users_role_known CHECK (role IN ('admin', 'user'))
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE users');
  }
}
