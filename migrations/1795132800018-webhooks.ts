import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How far the events have been read by those who write down what follows from them; and who is to get them by HTTP. */
export class Webhooks1795132800018 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE TABLE event_consumers (name text PRIMARY KEY, cursor text NOT NULL)');
    await runner.query(`
      CREATE TABLE webhook_endpoints (
        id uuid PRIMARY KEY,
        url text NOT NULL,
        description text,
        types text[] NOT NULL,
        ordering text NOT NULL,
        state text NOT NULL DEFAULT 'enabled',
        disabled_reason text,
        secret text NOT NULL,
        previous_secret text,
        previous_secret_until timestamptz(3),
        failures integer NOT NULL DEFAULT 0,
        failing_since timestamptz(3),
        paused_until timestamptz(3),
        version integer NOT NULL DEFAULT 1,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT webhook_endpoints_ordering_known CHECK (ordering IN ('none', 'object')),
        CONSTRAINT webhook_endpoints_state_known CHECK (state IN ('enabled', 'disabled'))
      )`);
    await this.deliveries(runner);
    await runner.query(`
      CREATE TABLE webhook_attempts (
        delivery_id uuid NOT NULL,
        number integer NOT NULL,
        at timestamptz(3) NOT NULL,
        status integer,
        duration_ms integer NOT NULL,
        error text,
        response_head text,
        PRIMARY KEY (delivery_id, number)
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE webhook_attempts, webhook_deliveries, webhook_endpoints, event_consumers');
  }

  private async deliveries(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE webhook_deliveries (
        id uuid PRIMARY KEY,
        endpoint_id uuid NOT NULL,
        event_id uuid NOT NULL,
        event_era integer NOT NULL,
        event_tick bigint NOT NULL,
        event_at timestamptz(3) NOT NULL,
        type text NOT NULL,
        object_id uuid NOT NULL,
        state text NOT NULL DEFAULT 'pending',
        attempts integer NOT NULL DEFAULT 0,
        failures integer NOT NULL DEFAULT 0,
        next_attempt_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        last_status integer,
        last_error text,
        created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT webhook_deliveries_once UNIQUE (event_id, endpoint_id),
        CONSTRAINT webhook_deliveries_state_known CHECK (state IN ('pending', 'delivered', 'dead'))
      )`);
    await runner.query('CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, id)');
    await runner.query(`
      CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE state = 'pending'`);
    await runner.query(`
      CREATE INDEX webhook_deliveries_of_object
        ON webhook_deliveries (endpoint_id, object_id, event_era, event_tick, event_at, event_id) WHERE state = 'pending'`);
    await runner.query(`
      CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (endpoint_id, id) WHERE state = 'dead'`);
    await runner.query(`
      CREATE INDEX webhook_deliveries_tests ON webhook_deliveries (endpoint_id)
        WHERE state = 'pending' AND type = 'webhook.test'`);
  }
}
