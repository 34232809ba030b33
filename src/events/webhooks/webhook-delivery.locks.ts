import { prepared } from '../../platform/database/prepared';
import type { Tx } from '../../platform/database/tx';
import type { EventRow } from '../feed/feed.query';

/** How long a process has for an attempt. If it has not written the outcome by then, it was probably killed. */
const LEASE = `interval '60 seconds'`;

/** What may be taken for an endpoint. */
export interface Room {
  readonly endpointId: string;
  /** So many deliveries. */
  readonly count: number;
  /** False: only tests. */
  readonly isOpen: boolean;
  /** Nothing of an object of which something earlier is pending. */
  readonly inOrder: boolean;
}

/** A delivery that this process is to attempt now. */
export interface ClaimedDelivery {
  readonly id: string;
  readonly endpointId: string;
  /** The number of the attempt. */
  readonly attempts: number;
  readonly failures: number;
  readonly type: string;
  readonly claimedAt: Date;
  /** Undefined if its row is no longer in the audit log. */
  readonly event: EventRow | undefined;
}

/** Endpoints must be locked, so that nothing of an object is taken twice at the same time. */
const CLAIM = `
  WITH claimed AS (
    UPDATE webhook_deliveries SET attempts = attempts + 1, next_attempt_at = statement_timestamp() + ${LEASE}
    WHERE id = ANY (ARRAY(
      SELECT due.id FROM unnest($1::uuid[], $2::int[], $3::bool[], $4::bool[]) AS room (endpoint_id, count, is_open, in_order)
      CROSS JOIN LATERAL (
        SELECT one.id FROM webhook_deliveries AS one
        WHERE one.endpoint_id = room.endpoint_id AND state = 'pending' AND next_attempt_at <= statement_timestamp()
          AND (room.is_open OR type = 'webhook.test')
          AND NOT (room.in_order AND EXISTS (
            SELECT FROM webhook_deliveries AS earlier
            WHERE earlier.endpoint_id = one.endpoint_id AND earlier.object_id = one.object_id AND earlier.state = 'pending'
              AND (earlier.event_era, earlier.event_tick, earlier.event_at, earlier.event_id)
                < (one.event_era, one.event_tick, one.event_at, one.event_id)))
        ORDER BY next_attempt_at, event_era, event_tick, event_at, event_id LIMIT room.count FOR UPDATE SKIP LOCKED
      ) AS due))
    RETURNING *
  )
  SELECT claimed.id AS "deliveryId", claimed.endpoint_id AS "endpointId", claimed.attempts, claimed.failures, claimed.type,
    date_trunc('milliseconds', clock_timestamp()) AS "claimedAt", claimed.event_era AS era, claimed.event_tick AS tick,
    row.id, row.created_at AS "createdAt", row.actor, row.action, row.object_type AS "objectType",
    row.object_id AS "objectId", row.old_value AS "oldValue", row.new_value AS "newValue", row.request_id AS "requestId"
  FROM claimed LEFT JOIN audit_logs AS row ON row.created_at = claimed.event_at AND row.id = claimed.event_id`;

interface ClaimedRow extends EventRow, Omit<ClaimedDelivery, 'id' | 'event'> {
  readonly deliveryId: string;
}

/** Takes due deliveries, the longest due first, for as long as an attempt can last. */
export async function claimDeliveries(tx: Tx, rooms: readonly Room[]): Promise<ClaimedDelivery[]> {
  const rows = await tx.query<ClaimedRow[]>(prepared(CLAIM), [
    rooms.map(({ endpointId }) => endpointId),
    rooms.map(({ count }) => count),
    rooms.map(({ isOpen }) => isOpen),
    rooms.map(({ inOrder }) => inOrder),
  ]);
  return rows.map(({ deliveryId, endpointId, attempts, failures, type, claimedAt, ...event }) => ({
    ...{ id: deliveryId, endpointId, attempts, failures, type, claimedAt },
    event: (event.id as string | null) === null ? undefined : event,
  }));
}
