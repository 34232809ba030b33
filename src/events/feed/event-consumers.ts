import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { RequestContext } from '../../platform/context/request-context';
import { prepared } from '../../platform/database/prepared';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { CursorExpired } from '../../platform/errors/cursor-errors';
import { log } from '../../platform/logging/logger';
import { EventConsumerPosition } from './event-consumer.entity';
import { holdPosition, lockPosition } from './event-consumer.locks';
import { beginningOf, type EventPage, readEvents } from './event-feed';
import { cursorOf, type EventPosition, positionOf } from './event-position';
import { type EventRow, findEnds } from './feed.query';

/** The number of events that one transaction handles. */
const MOST_TAKEN = 500;

/** Writes what follows from events: once for each event, in their order, in one process at a time. */
export interface EventConsumer {
  readonly name: string;
  /** The types that it wants now. It never gets the events of other types that it passes. */
  types(tx: Tx): Promise<readonly string[]>;
  /** Writes what follows from the next events, in the transaction that also saves the new position. */
  take(unit: UnitOfWork, events: readonly EventRow[]): Promise<void>;
}

const FIND = `
  SELECT consumer.cursor, head.era, head.tick FROM event_head AS head
  LEFT JOIN event_consumers AS consumer ON consumer.name = $1`;
const BEGIN = 'INSERT INTO event_consumers (name, cursor) VALUES ($1, $2) ON CONFLICT DO NOTHING';

@Injectable()
export class EventConsumers {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly context: RequestContext,
  ) {}

  /**
   * Gives a consumer its next events; a new consumer begins at the end of the feed. Writes nothing if there is no new event,
   * or if another process is doing it.
   * @returns whether there may be more events already
   */
  async consume(consumer: EventConsumer): Promise<boolean> {
    return this.advance(consumer.name, async (unit, after) => {
      const { events, next } = await readOn(unit.tx, consumer, after);
      if (events.length > 0) {
        await consumer.take(unit, events);
      }
      return next;
    });
  }

  /**
   * The same for a consumer that reads the ticks itself. @param read gets its position, and returns how far it has read; its
   * unit of work also notes that
   */
  async advance(
    name: string,
    read: (unit: UnitOfWork, after: EventPosition) => Promise<EventPosition>,
  ): Promise<boolean> {
    if (!(await this.transactions.read((manager) => hasMore(manager, name)))) {
      return false;
    }
    return this.context.runAsSystem(name, () => this.transactions.run((unit) => readNext(unit, name, read)));
  }

  /** Until this transaction ends, the consumer takes no more events. */
  async hold(tx: Tx, name: string): Promise<void> {
    await begin(tx, name);
    await holdPosition(tx, name);
  }
}

async function readNext(
  unit: UnitOfWork,
  name: string,
  read: (unit: UnitOfWork, after: EventPosition) => Promise<EventPosition>,
): Promise<boolean> {
  const { tx } = unit;
  await begin(tx, name);
  const cursor = await lockPosition(tx, name);
  if (cursor === undefined) {
    return false;
  }
  const reached = cursorOf(await read(unit, positionOf(cursor)));
  if (reached !== cursor) {
    await tx.update(EventConsumerPosition, { name }, { cursor: reached });
  }
  return reached !== cursor;
}

async function readOn(tx: Tx, consumer: EventConsumer, after: EventPosition): Promise<EventPage> {
  const reading = { after, filters: { types: await consumer.types(tx) }, limit: MOST_TAKEN };
  try {
    return await readEvents(tx, reading);
  } catch (error) {
    if (!(error instanceof CursorExpired)) {
      throw error;
    }
    log.error(
      { consumer: consumer.name },
      'events were let go before they were taken: it goes on with the oldest kept',
    );
    return readEvents(tx, { ...reading, after: beginningOf(await findEnds(tx)) });
  }
}

async function begin(tx: Tx, name: string): Promise<void> {
  const [found] = await findPosition(tx, name);
  if (found!.cursor === null) {
    await tx.query(BEGIN, [name, cursorOf(found!)]);
  }
}

async function hasMore(manager: EntityManager, name: string): Promise<boolean> {
  const [found] = await findPosition(manager, name);
  return found!.cursor !== cursorOf(found!);
}

/** The position of a consumer, and the end of the feed. */
function findPosition(
  manager: EntityManager,
  name: string,
): Promise<{ cursor: string | null; era: number; tick: string }[]> {
  return manager.query(prepared(FIND), [name]);
}
