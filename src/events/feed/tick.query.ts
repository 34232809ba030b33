/**
 * The audit rows of a tick: those of new transactions that its snapshot sees, and of late ones, which were open at the
 * previous tick. OFFSET 0 makes PostgreSQL use the index of transaction ids alone. Otherwise it combines it with the index of
 * times and reads a whole day, because it cannot know how few rows a tick has.
 * @param tick the alias of a row with the columns of `event_ticks`
 */
export function rowsOfTick(tick: string): string {
  return `
    SELECT * FROM (
      SELECT * FROM audit_logs
      WHERE xid >= ${tick}.first_xid AND xid < ${tick}.end_xid
        AND pg_visible_in_snapshot(xid::text::xid8, ${tick}.snapshot::pg_snapshot)
      UNION ALL
      SELECT * FROM audit_logs WHERE xid = ANY (${tick}.late_xids)
      OFFSET 0
    ) AS log WHERE created_at >= ${tick}.rows_from AND created_at < ${tick}.rows_until`;
}

/** What the next tick would be, by the snapshot of the statement that contains this. */
const NEXT = `
  SELECT head.era, head.tick, clock_timestamp() AS at, now.snapshot::text AS snapshot,
    pg_snapshot_xmax(last.snapshot::pg_snapshot)::text::bigint AS first_xid,
    pg_snapshot_xmax(now.snapshot)::text::bigint AS end_xid,
    ARRAY(
      SELECT xip::text::bigint FROM pg_snapshot_xip(last.snapshot::pg_snapshot) AS xip
      WHERE pg_visible_in_snapshot(xip, now.snapshot)
    ) AS late_xids,
    greatest(head.era_start, clock_timestamp() - interval '1 day') AS rows_from,
    clock_timestamp() + interval '1 day' AS rows_until
  FROM event_head AS head
  JOIN event_ticks AS last ON (last.era, last.id) = (head.era, head.tick)
  CROSS JOIN (SELECT pg_current_snapshot() AS snapshot) AS now`;

/** What waits for the next tick. Ages are in milliseconds, by the database's clock. */
export interface TickLook {
  /** The newest tick has transaction ids that this cluster has not reached: the data was restored from another one. */
  readonly isYounger: boolean;
  /** Of the newest tick. */
  readonly age: number;
  /** Of an event that is in no tick yet, the first one found; null if there is none. */
  readonly waiting: number | null;
}

/** Finds out what waits for the next tick, without a lock. */
export const LOOK = `
  WITH next AS MATERIALIZED (${NEXT})
  SELECT next.end_xid < next.first_xid AS "isYounger", extract(epoch FROM next.at - last.at)::float8 * 1000 AS age,
    (SELECT extract(epoch FROM next.at - row.created_at)::float8 * 1000 FROM (${rowsOfTick('next')}) AS row LIMIT 1) AS waiting
  FROM next JOIN event_ticks AS last ON (last.era, last.id) = (next.era, next.tick)`;

/** Makes the next tick if there are new events. An earlier statement must have locked the head. */
export const MAKE_TICK = `
  WITH next AS MATERIALIZED (${NEXT}),
  found AS (
    SELECT row.action, count(*) AS number FROM next CROSS JOIN LATERAL (${rowsOfTick('next')}) AS row GROUP BY row.action
  ),
  made AS (
    INSERT INTO event_ticks (era, id, at, snapshot, first_xid, end_xid, late_xids, rows_from, rows_until, counts)
    SELECT era, tick + 1, at, snapshot, first_xid, end_xid, late_xids, rows_from, rows_until,
      (SELECT jsonb_object_agg(action, number) FROM found)
    FROM next WHERE EXISTS (SELECT FROM found)
    RETURNING id
  )
  UPDATE event_head SET tick = made.id FROM made RETURNING event_head.tick`;

/**
 * Ends an era with a last tick for the rows that are in none, and begins the next era just after the newest of them, with a
 * tick that has seen nothing. An earlier statement must have locked the head.
 */
export const BEGIN_ERA = `
  WITH rest AS MATERIALIZED (
    SELECT head.era, head.tick + 1 AS id, clock_timestamp() AS at, '${2n ** 63n - 1n}:${2n ** 63n - 1n}:' AS snapshot,
      pg_snapshot_xmax(last.snapshot::pg_snapshot)::text::bigint AS first_xid, ${2n ** 63n - 1n} AS end_xid,
      ARRAY(SELECT xip::text::bigint FROM pg_snapshot_xip(last.snapshot::pg_snapshot) AS xip) AS late_xids,
      greatest(head.era_start, last.at - interval '1 day') AS rows_from, 'infinity'::timestamptz AS rows_until, last.at AS last_at
    FROM event_head AS head JOIN event_ticks AS last ON (last.era, last.id) = (head.era, head.tick)
  ),
  found AS MATERIALIZED (
    SELECT row.action, row.created_at FROM rest CROSS JOIN LATERAL (${rowsOfTick('rest')}) AS row
  ),
  border AS MATERIALIZED (
    SELECT greatest(last_at, (SELECT max(created_at) FROM found)) + interval '1 millisecond' AS at FROM rest
  ),
  made AS (
    INSERT INTO event_ticks (era, id, at, snapshot, first_xid, end_xid, late_xids, rows_from, rows_until, counts)
    SELECT era, id, rest.at, snapshot, first_xid, end_xid, late_xids, rows_from, border.at, (
        SELECT jsonb_object_agg(action, number) FROM (SELECT action, count(*) AS number FROM found GROUP BY action) AS sums)
    FROM rest, border WHERE EXISTS (SELECT FROM found)
    UNION ALL
    SELECT era + 1, 0, rest.at, '3:3:', 3, 3, '{}', border.at, border.at, '{}' FROM rest, border
  )
  UPDATE event_head SET era = rest.era + 1, tick = 0, era_start = border.at FROM rest, border
  RETURNING event_head.era`;
