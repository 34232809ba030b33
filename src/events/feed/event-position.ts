import { isUUID } from 'class-validator';
import { InvalidCursor } from '../../platform/errors/cursor-errors';

/** A place in the feed: after an event of a tick or, without one, after all of that tick. */
export interface EventPosition {
  readonly era: number;
  /** A number of up to 18 digits. */
  readonly tick: string;
  readonly event?: { readonly at: Date; readonly id: string };
}

const FORM = /^(\d{1,9})\.(\d{1,18})(?:\.(\d{1,15})\.([\da-f-]{36}))?$/;

/** A position as opaque text, which every process can read, whatever its settings. */
export function cursorOf({ era, tick, event }: EventPosition): string {
  const text = event ? `${era}.${tick}.${event.at.getTime()}.${event.id}` : `${era}.${tick}`;
  return Buffer.from(text).toString('base64url');
}

/** @throws InvalidCursor if it was not made by `cursorOf` */
export function positionOf(cursor: string): EventPosition {
  const [, era, tick, at, id] = FORM.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  const position = { era: Number(era), tick: tick!, ...(id && { event: { at: new Date(Number(at)), id } }) };
  if (era === undefined || (id !== undefined && !isUUID(id)) || cursorOf(position) !== cursor) {
    throw new InvalidCursor();
  }
  return position;
}

/** Whether one place comes before another. */
export function isBefore(one: EventPosition, other: EventPosition): boolean {
  if (one.era !== other.era || one.tick !== other.tick) {
    return one.era < other.era || (one.era === other.era && BigInt(one.tick) < BigInt(other.tick));
  }
  // After an event of a tick, or after all of them.
  if (!one.event || !other.event) {
    return one.event !== undefined;
  }
  const [at, otherAt] = [one.event.at.getTime(), other.event.at.getTime()];
  return at < otherAt || (at === otherAt && one.event.id < other.event.id);
}
