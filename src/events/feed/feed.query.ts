import type { EntityManager } from 'typeorm';
import { prepared } from '../../platform/database/prepared';
import type { EventPosition } from './event-position';
import { rowsOfTick } from './tick.query';

/** Which events to read. */
export interface EventFilters {
  readonly types?: readonly string[];
  readonly objectType?: string;
  readonly objectId?: string;
}

/** An audit row that is an event, and the tick that it belongs to. */
export interface EventRow {
  readonly era: number;
  readonly tick: string;
  readonly id: string;
  readonly createdAt: Date;
  readonly actor: string;
  readonly action: string;
  readonly objectType: string;
  readonly objectId: string;
  readonly oldValue: object | null;
  readonly newValue: object | null;
  readonly requestId: string;
}

export interface TickCounts {
  readonly era: number;
  readonly id: string;
  readonly counts: Readonly<Record<string, number>>;
}

/** The oldest tick that is kept, and the newest. */
export interface FeedEnds {
  readonly oldest: { readonly era: number; readonly tick: string };
  readonly newest: { readonly era: number; readonly tick: string };
}

const ENDS = `
  SELECT json_build_object('era', oldest.era, 'tick', oldest.id::text) AS oldest,
    json_build_object('era', head.era, 'tick', head.tick::text) AS newest
  FROM event_head AS head CROSS JOIN (SELECT era, id FROM event_ticks ORDER BY era, id LIMIT 1) AS oldest`;

export async function findEnds(manager: EntityManager): Promise<FeedEnds> {
  const [ends] = await manager.query<FeedEnds[]>(prepared(ENDS));
  return ends!;
}

/** How many ticks one statement returns at most, and how many it searches for those with events of some types. */
const MOST_TICKS = 200;
const MOST_SEARCHED = 20_000;

/** Also returns the last tick that it searched, whatever that has, because the next search starts after it. */
const TICKS = `
  WITH scanned AS MATERIALIZED (
    SELECT era, id, counts FROM event_ticks WHERE (era, id) > ($1, $2) ORDER BY era, id LIMIT $4
  )
  SELECT era, id, counts FROM scanned
  WHERE $3::text[] IS NULL OR counts ?| $3 OR (era, id) = (SELECT era, id FROM scanned ORDER BY era DESC, id DESC LIMIT 1)
  ORDER BY era, id LIMIT ${MOST_TICKS}`;

/** The next ticks after one that have events of these types, and the last of those that were searched. */
export function findTicks(
  manager: EntityManager,
  { era, tick }: EventPosition,
  types: readonly string[] | undefined,
): Promise<TickCounts[]> {
  return manager.query<TickCounts[]>(prepared(TICKS), [
    ...[era, tick, types ?? null, types ? MOST_SEARCHED : MOST_TICKS],
  ]);
}

const EVENT = `
  tick.era, tick.id AS tick, row.id, row.created_at AS "createdAt", row.actor, row.action, row.object_type AS "objectType",
  row.object_id AS "objectId", row.old_value AS "oldValue", row.new_value AS "newValue", row.request_id AS "requestId"`;

const EVENTS = `
  SELECT ${EVENT}
  FROM event_ticks AS tick CROSS JOIN LATERAL (${rowsOfTick('tick')}) AS row
  WHERE (tick.era, tick.id) >= ($1, $2) AND (tick.era, tick.id) <= ($3, $4)
    AND ($5::timestamptz IS NULL OR (tick.era, tick.id) > ($1, $2) OR (row.created_at, row.id) > ($5, $6::uuid))
    AND ($7::text[] IS NULL OR (tick.counts ?| $7 AND row.action = ANY ($7)))
    AND ($8::text IS NULL OR row.object_type = $8) AND ($9::uuid IS NULL OR row.object_id = $9)
  ORDER BY tick.era, tick.id, row.created_at, row.id LIMIT $10`;

export interface EventRange {
  /** Events after this one. */
  readonly after: EventPosition;
  /** Up to the end of this tick. */
  readonly to: { readonly era: number; readonly id: string };
  readonly limit: number;
}

/** Events in the order of the feed. */
export function findEvents(manager: EntityManager, range: EventRange, filters: EventFilters): Promise<EventRow[]> {
  const { after, to, limit } = range;
  const { types, objectType, objectId } = filters;
  // A position without an event is the end of its tick: start with the next one.
  const first = after.event ? after.tick : String(BigInt(after.tick) + 1n);
  return manager.query<EventRow[]>(prepared(EVENTS), [
    ...[after.era, first, to.era, to.id, after.event?.at ?? null, after.event?.id ?? null],
    ...[types ?? null, objectType ?? null, objectId ?? null, limit],
  ]);
}

/** How far the clock of a process, which is in its ids, may differ from the database's. The likely case comes first. */
const CLOCK_DIFFERENCES = ['5 seconds', '5 minutes'];

/** $1 the id, $2 the time in the id */
const ROW = (difference: string): string => `
  SELECT * FROM audit_logs AS row
  WHERE id = $1 AND xid IS NOT NULL
    AND created_at BETWEEN $2::timestamptz - interval '${difference}' AND $2::timestamptz + interval '${difference}'`;

/** The tick of a row is the first one that sees it; it is not older than the row. */
const ONE = (difference: string): string => `
  SELECT ${EVENT} FROM (${ROW(difference)}) AS row CROSS JOIN LATERAL (
    SELECT era, id FROM event_ticks AS tick
    WHERE at >= row.created_at - interval '1 minute' AND row.created_at >= rows_from AND row.created_at < rows_until
      AND (row.xid = ANY (late_xids) OR (row.xid >= first_xid AND row.xid < end_xid
        AND pg_visible_in_snapshot(row.xid::text::xid8, snapshot::pg_snapshot)))
    ORDER BY at LIMIT 1) AS tick`;

/** An event by its id; undefined if there is none, or if its tick is no longer kept or not yet made. */
export async function findEvent(manager: EntityManager, id: string): Promise<EventRow | undefined> {
  const madeAt = new Date(parseInt(id.replace('-', '').slice(0, 12), 16));
  for (const difference of CLOCK_DIFFERENCES) {
    const [row] = await manager.query<EventRow[]>(ONE(difference), [id, madeAt]);
    if (row) {
      return row;
    }
  }
  return undefined;
}
