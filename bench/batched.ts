import { Client, type QueryConfig } from 'pg';
import { uuidv7 } from 'uuidv7';
import { MAIN } from './baseline';
import { type Duration, measure } from './load';
import type { Sample } from './statistics';

/** Reservations in one transaction. */
const BATCH = 64;
/** More do not help, because all update the same row. With two, one prepares its next batch while the other runs. */
const CONNECTIONS = 2;

const LOCK = 'SELECT available, reserved FROM stock_levels WHERE product_id = $1 AND warehouse_id = $2 FOR UPDATE';
const LEVEL = 'UPDATE stock_levels SET available = $3, reserved = $4 WHERE product_id = $1 AND warehouse_id = $2';
const RESERVATIONS = `
  INSERT INTO reservations (id, user_id, status, expires_at, total_amount, currency)
  SELECT id, $2, 'active', clock_timestamp() + interval '600 seconds', 19.90, 'EUR' FROM unnest($1::uuid[]) AS id`;
const ITEMS = `
  INSERT INTO reservation_items (reservation_id, user_id, product_id, warehouse_id, quantity, unit_price)
  SELECT id, $2, $3, $4, 1, 19.90 FROM unnest($1::uuid[]) AS id`;
const MOVEMENTS = `
  INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta,
    available_after, reserved_after, reservation_id, actor, request_id)
  SELECT new.id, $4, $5, 'reserve', -1, 1, $6 - new.number, $7 + new.number, new.reservation_id, $8, new.request_id
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) WITH ORDINALITY AS new (id, reservation_id, request_id, number)`;
const AUDIT = `
  INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id)
  SELECT new.id, $4, 'reservation.created', 'reservation', new.reservation_id, $5, new.request_id
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS new (id, reservation_id, request_id)`;

/**
 * The upper bound: the same rows inserted directly, 64 reservations of one product a transaction, with prepared
 * statements in two round trips.
 */
async function reserveBatch(client: Client, productId: string, userId: string): Promise<void> {
  const [, { rows }] = await Promise.all([
    client.query('BEGIN'),
    client.query<{ available: number; reserved: number }>(prepared(LOCK, [productId, MAIN])),
  ]);
  const { available, reserved } = rows[0]!;
  const [ids, movements, entries, requests] = [someIds(), someIds(), someIds(), someIds()];
  const actor = `user:${userId}`;
  await Promise.all([
    client.query(prepared(LEVEL, [productId, MAIN, available - BATCH, reserved + BATCH])),
    client.query(prepared(RESERVATIONS, [ids, userId])),
    client.query(prepared(ITEMS, [ids, userId, productId, MAIN])),
    client.query(prepared(MOVEMENTS, [movements, ids, requests, productId, MAIN, available, reserved, actor])),
    client.query(prepared(AUDIT, [entries, ids, requests, actor, { product_id: productId, quantity: 1 }])),
    client.query('COMMIT'),
  ]);
}

function prepared(text: string, values: unknown[]): QueryConfig {
  return { name: text.slice(0, 40), text, values };
}

function someIds(): string[] {
  return Array.from({ length: BATCH }, () => uuidv7());
}

/** Measures this; one operation is a batch. */
export async function measureBatched(url: string, productId: string, duration: Duration): Promise<Sample> {
  const settings = { connectionString: url, pipeline: true };
  const connections = Array.from({ length: CONNECTIONS }, () => new Client(settings));
  await Promise.all(connections.map((client) => client.connect()));
  const userId = uuidv7();
  const workers = connections.map((client) => async () => {
    await reserveBatch(client, productId, userId);
    return 'committed';
  });
  const sample = await measure(workers, duration, BATCH);
  await Promise.all(connections.map((client) => client.end()));
  return sample;
}
