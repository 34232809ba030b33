import { Client } from 'pg';
import { uuidv7 } from 'uuidv7';
import { type Baseline, idsOf, MAIN } from './baseline';
import { measure } from './load';

/** The baseline if pgbench is not installed. It is slower, because this process is the bottleneck, not the database. */
export function nodeBaseline(url: string): Baseline {
  return {
    name: 'Node with `pg`, since pgbench is not installed',
    isPgbench: false,
    async measure(products, { clients, ...duration }) {
      const ids = idsOf(products);
      const connections = Array.from({ length: clients }, () => new Client(url));
      await Promise.all(connections.map((client) => client.connect()));
      let turn = 0;
      const workers = connections.map((client) => {
        const userId = uuidv7();
        return () => reserveByHand(client, ids[turn++ % ids.length]!, userId);
      });
      const sample = await measure(workers, duration);
      await Promise.all(connections.map((client) => client.end()));
      return sample;
    },
  };
}

async function reserveByHand(client: Client, productId: string, userId: string): Promise<string> {
  const reservationId = uuidv7();
  await client.query('BEGIN');
  const { rows } = await client.query<{ available: number; reserved: number }>(
    'SELECT available, reserved FROM stock_levels WHERE product_id = $1 AND warehouse_id = $2 FOR UPDATE',
    [productId, MAIN],
  );
  const { available, reserved } = rows[0]!;
  await client.query(
    'UPDATE stock_levels SET available = $3, reserved = $4 WHERE product_id = $1 AND warehouse_id = $2',
    [productId, MAIN, available - 1, reserved + 1],
  );
  await client.query(
    `INSERT INTO reservations (id, user_id, status, expires_at, total_amount, currency)
     VALUES ($1, $2, 'active', clock_timestamp() + interval '600 seconds', 19.90, 'EUR')`,
    [reservationId, userId],
  );
  await client.query(
    `INSERT INTO reservation_items (reservation_id, user_id, product_id, warehouse_id, quantity, unit_price)
     VALUES ($1, $2, $3, $4, 1, 19.90)`,
    [reservationId, userId, productId, MAIN],
  );
  await client.query(
    `INSERT INTO stock_movements (id, product_id, warehouse_id, kind, available_delta, reserved_delta,
       available_after, reserved_after, reservation_id, actor, request_id)
     VALUES ($1, $2, $3, 'reserve', -1, 1, $4, $5, $6, $7, $8)`,
    [uuidv7(), productId, MAIN, available - 1, reserved + 1, reservationId, `user:${userId}`, uuidv7()],
  );
  await client.query(
    `INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id)
     VALUES ($1, $2, 'reservation.created', 'reservation', $3, $4, $5)`,
    [uuidv7(), `user:${userId}`, reservationId, { product_id: productId, quantity: 1 }, uuidv7()],
  );
  await client.query('COMMIT');
  return 'committed';
}
