/** Where it is written what is poisoned, and when: `INSERT INTO poison VALUES (what, moment)`. */
const POISON = `
  CREATE TABLE poison (what text, moment text);
  CREATE FUNCTION fail_if_poisoned() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF EXISTS (SELECT FROM poison WHERE what = to_jsonb(NEW)->>TG_ARGV[0] AND moment = TG_ARGV[1]) THEN
      RAISE EXCEPTION 'the inside of the house';
    END IF;
    RETURN NEW;
  END $$`;

/** Raises when a row of a poisoned request is written: at its `insert` into this table, or, for its audit row, at `commit`. */
export function poisonedRequests(table = 'audit_logs'): string {
  return `${POISON};
    CREATE TRIGGER fail_at_once BEFORE INSERT ON ${table}
      FOR EACH ROW EXECUTE FUNCTION fail_if_poisoned('request_id', 'insert');
    CREATE CONSTRAINT TRIGGER fail_at_commit AFTER INSERT ON audit_logs DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION fail_if_poisoned('request_id', 'commit')`;
}

/** Raises when a poisoned key is claimed, at the moment `key`. Comes after `poisonedRequests`. */
export const POISONED_KEYS = `
  CREATE TRIGGER fail_at_key BEFORE INSERT ON idempotency_keys
    FOR EACH ROW EXECUTE FUNCTION fail_if_poisoned('key', 'key')`;
