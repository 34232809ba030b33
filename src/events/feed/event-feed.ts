import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { CursorExpired } from '../../platform/errors/cursor-errors';
import { cursorOf, type EventPosition, isBefore } from './event-position';
import {
  type EventFilters,
  type EventRow,
  type FeedEnds,
  findEnds,
  findEvent,
  findEvents,
  findTicks,
  type TickCounts,
} from './feed.query';

/** Events in their order, and where to continue. */
export interface EventPage {
  readonly events: EventRow[];
  readonly next: EventPosition;
}

/** How long one call searches on while nothing matches its filters. */
const LONGEST_READ_MS = 1_000;

/**
 * The feed of events: everything that was committed, once, in one order that never changes. The events of one object are in
 * the order in which they happened. Every process, and every replica, gives the same.
 */
@Injectable()
export class EventFeed {
  constructor(private readonly transactions: TransactionRunner) {}

  /** Where the feed ends now. */
  async end(): Promise<EventPosition> {
    return (await this.ends()).newest;
  }

  /** Before the oldest event that is kept. */
  async beginning(): Promise<EventPosition> {
    return beginningOf(await this.ends());
  }

  /**
   * At most `limit` events after a position. There can be fewer, or none, although more will come: if hardly any match the
   * filters, `next` is further on nevertheless.
   * @throws CursorExpired if events after the position are no longer kept
   */
  read(after: EventPosition, filters: EventFilters, limit: number): Promise<EventPage> {
    return this.transactions.read((manager) => readEvents(manager, { after, filters, limit }));
  }

  /** An event by its id; undefined if it is not in the feed. */
  find(id: string): Promise<EventRow | undefined> {
    return this.transactions.read((manager) => findEvent(manager, id));
  }

  private ends(): Promise<FeedEnds> {
    return this.transactions.read(findEnds);
  }
}

interface EventReading {
  readonly after: EventPosition;
  readonly filters: EventFilters;
  readonly limit: number;
}

/** As `EventFeed.read`, on a connection or in a transaction of the caller. */
export async function readEvents(manager: EntityManager, { after, filters, limit }: EventReading): Promise<EventPage> {
  const startedAt = performance.now();
  const events: EventRow[] = [];
  let next = after;
  do {
    const wanted = limit - events.length;
    const to = endOf(await findTicks(manager, next, filters.types), filters, wanted) ?? (next.event && tickOf(next));
    if (!to) {
      break;
    }
    const found = await findEvents(manager, { after: next, to, limit: wanted }, filters);
    events.push(...found);
    next = found.length === wanted ? positionOfEvent(found.at(-1)!) : { era: to.era, tick: to.id };
  } while (events.length < limit && performance.now() < startedAt + LONGEST_READ_MS);
  // Checked last, because ticks may be deleted at any time.
  const beginning = beginningOf(await findEnds(manager));
  if (isBefore(after, beginning)) {
    throw new CursorExpired(cursorOf(beginning));
  }
  return { events, next };
}

export function positionOfEvent({ era, tick, createdAt, id }: EventRow): EventPosition {
  return { era, tick, event: { at: createdAt, id } };
}

/** The first tick by which enough events have been found, or else the last one. */
function endOf(ticks: readonly TickCounts[], { types }: EventFilters, wanted: number): TickCounts | undefined {
  let found = 0;
  const enough = ticks.find(({ counts }) => {
    for (const [type, count] of Object.entries(counts)) {
      found += types === undefined || types.includes(type) ? count : 0;
    }
    return found >= wanted;
  });
  return enough ?? ticks.at(-1);
}

function tickOf({ era, tick }: EventPosition): { era: number; id: string } {
  return { era, id: tick };
}

export function beginningOf({ oldest: { era, tick } }: FeedEnds): EventPosition {
  // The first tick of an era has no events.
  return { era, tick: tick === '0' ? tick : String(BigInt(tick) - 1n) };
}
