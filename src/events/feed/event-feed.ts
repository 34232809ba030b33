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
    const ticks = await findTicks(manager, next, filters.types);
    const { to = next.event && tickOf(next), count } = endOf(ticks, filters, wanted);
    if (!to) {
      break;
    }
    // In the middle of a tick, nobody knows how many of its events are left.
    const found = count > 0 || next.event ? await findEvents(manager, { after: next, to, limit: wanted }, filters) : [];
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

/** The first tick by which enough events have been found, or else the last one; and how many these are. */
function endOf(
  ticks: readonly TickCounts[],
  { types }: EventFilters,
  wanted: number,
): { readonly to: TickCounts | undefined; readonly count: number } {
  let count = 0;
  const enough = ticks.find(({ counts }) => {
    for (const [type, number] of Object.entries(counts)) {
      count += types === undefined || types.includes(type) ? number : 0;
    }
    return count >= wanted;
  });
  return { to: enough ?? ticks.at(-1), count };
}

function tickOf({ era, tick }: EventPosition): { era: number; id: string } {
  return { era, id: tick };
}

export function beginningOf({ oldest: { era, tick } }: FeedEnds): EventPosition {
  // The first tick of an era has no events.
  return { era, tick: tick === '0' ? tick : String(BigInt(tick) - 1n) };
}
